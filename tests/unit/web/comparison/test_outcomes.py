"""How compared sessions turned out."""

import math

from bridge.model import Batch, Client, Config, Epoch, Scalars
from bridge.session import Session
from bridge.web.comparison.outcomes import best_values, outcomes
from bridge.web.session_view import session_view


def view(*events):
    """Return the view of a session after events."""
    session = Session("run", Client(), Config(), now=1.0)
    for event in events:
        session.apply(event, 2.0)
    return session_view(session, 10.0)


def row(name, *views):
    """Return the row of this name."""
    return next((one for one in outcomes(views) if one.name == name), None)


def test_the_best_of_a_row_stands_out():
    """The lowest loss and the highest accuracy; nothing where all are equal or only one has a value."""
    low = view(Batch(0, 0, 0.5), Epoch(0, 0.5, 0.7))
    high = view(Batch(0, 0, 0.9), Epoch(0, 0.9, 0.8))

    assert row("Loss, lowest", low, high).best == {0}
    assert row("Accuracy, highest", low, high).best == {1}
    assert row("Loss, lowest", low, low).best == frozenset()
    assert row("Accuracy, highest", low, view()).best == frozenset()


def test_what_was_not_reported_is_not_shown_as_nothing():
    """A row that nobody has is left out; a session without a value in it has none."""
    assert row("Validation loss, lowest", view(Batch(0, 0, 0.5))) is None
    assert row("Batches", view(Batch(0, 0, 0.5)), view()).texts == ("1", None)


def test_a_loss_that_is_not_finite_is_never_the_best():
    """Its batches are counted in a row of their own."""
    broken = view(Batch(0, 0, 0.5), Batch(0, 1, math.nan), Batch(0, 2, -math.inf))

    assert best_values(broken).loss == 0.5
    assert row("Losses not finite", broken, view(Batch(0, 0, 1.0)), view()).texts == (
        "2",
        "0",
        None,
    )
    assert row("Loss, last", broken, view(Batch(0, 0, 0.5))).best == frozenset()


def test_scalars_have_a_row_each():
    """By name, with the last value of each session; which is better is not known."""
    found = row("f1, last", view(Scalars(0, 0, {"f1": 0.5})), view(Scalars(0, 0, {"f1": 0.25})))

    assert found.texts == ("0.5000", "0.2500")
    assert found.best == frozenset()
    assert row("f1 (test), last", view(Scalars(0, 0, {"f1": 0.5}, split="test"))).texts == (
        "0.5000",
    )
