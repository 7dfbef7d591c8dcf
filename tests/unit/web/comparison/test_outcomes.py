"""How compared sessions turned out."""

import math

from support.attempts import three_attempts
from support.pages import FakeArchive

from bridge.model import Batch, Client, Config, Epoch, Scalars
from bridge.session import Session
from bridge.web.attempts.catalog import AttemptCatalog
from bridge.web.comparison.contestants import contestants
from bridge.web.comparison.outcomes import best_values, outcomes
from bridge.web.session_view import session_view


def view(*events):
    """Return the view of a session after events."""
    session = Session("run", Client(), Config(), now=1.0)
    for event in events:
        session.apply(event, 2.0)
    return session_view(session, 10.0)


def row(name, *views, archive=None):
    """Return the row of this name."""
    compared = contestants(AttemptCatalog(archive or FakeArchive()), views)
    return next((one for one in outcomes(compared) if one.name == name), None)


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


def test_runs_of_several_attempts_say_what_they_lost():
    """A run that was preempted took longer than one that was not; that is counted from its first attempt."""
    *former, newest = three_attempts()
    archive, views = FakeArchive(former=former), (session_view(newest, 8230.0), view())

    assert row("Attempts", *views, archive=archive).texts == ("3", "1")
    assert row("Lost between attempts", *views, archive=archive).texts == ("1 h 59 min", "0 s")
    assert row("Duration", *views, archive=archive).texts[0] == "2 h 0 min"
    assert row("Loss, lowest", *views, archive=archive).texts == ("1.000", None)
    assert row("Attempts", view(), view()) is None
    assert row("Goodput", *views, archive=archive).texts[0].endswith("%")


def test_scalars_have_a_row_each():
    """By name, with the last value of each session; which is better is not known."""
    found = row("f1, last", view(Scalars(0, 0, {"f1": 0.5})), view(Scalars(0, 0, {"f1": 0.25})))

    assert found.texts == ("0.5000", "0.2500")
    assert found.best == frozenset()
    assert row("f1 (test), last", view(Scalars(0, 0, {"f1": 0.5}, split="test"))).texts == (
        "0.5000",
    )


def test_the_best_validation_loss_stands_out():
    """Runs are chosen by it, so it has its lowest value too, before the scalars of which nothing is known."""

    def losses(*values):
        return view(
            *(
                Scalars(0, 0, {"loss": value}, step, "validation")
                for step, value in enumerate(values)
            ),
            Scalars(0, 0, {"gradient_norm": 1.0}),
        )

    overfitted, steady = losses(3.0, 1.0, 2.5), losses(3.0, 2.0, 2.0)

    assert row("loss (validation), last", overfitted, steady).best == {1}
    assert row("loss (validation), lowest", overfitted, steady).texts == ("1.000", "2.000")
    assert row("loss (validation), lowest", overfitted, steady).best == {0}
    compared = contestants(AttemptCatalog(FakeArchive()), [overfitted, steady])
    assert [one.name for one in outcomes(compared)][-3:] == [
        "loss (validation), last",
        "loss (validation), lowest",
        "gradient_norm, last",
    ]


def test_a_scalar_that_was_never_finite_has_no_best():
    """It is a row with what was logged, and nothing beside it."""
    broken = view(Scalars(0, 0, {"val_accuracy": math.nan}))

    assert row("val_accuracy, last", broken, view()).texts == ("NaN", None)
    assert row("val_accuracy, highest", broken, view()) is None
