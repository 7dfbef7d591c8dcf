"""The points by which sessions are compared."""

import math

import pytest

from bridge.model import Batch, Client, Config, Epoch, Scalars
from bridge.session import Session
from bridge.web.comparison.curves import LOSS, By, axis_of, curves_of, points_of
from bridge.web.session_view import session_view


@pytest.fixture
def session():
    """Return a session that began at 1000."""
    return Session("run-1", Client(), Config(), now=1000.0)


def test_a_loss_is_drawn_by_the_number_of_its_batch(session):
    """However a loop numbers epochs and batches, the middle of each point's batches is its place."""
    for step in range(960):
        session.apply(Batch(1 + step // 10, step % 10, 2.0), 1000.0 + step)

    points = points_of(session_view(session, 2000.0), LOSS, By.STEP)

    assert len(points) == 240
    assert (points[0].x, points[-1].x) == (2.0, 958.0)
    assert {point.mean for point in points} == {2.0}


def test_a_loss_is_drawn_by_the_time_since_the_start(session):
    """Two runs that began on different days lie over one another."""
    for step in range(10):
        session.apply(Batch(0, step, 1.0 - step / 10), 1030.0 + 5 * step)

    points = points_of(session_view(session, 2000.0), LOSS, By.TIME)

    assert points[0].x == pytest.approx(32.5)
    assert points[-1].x == pytest.approx(75.0)
    assert points[-1].low == pytest.approx(0.1)


def test_what_is_not_finite_has_no_value(session):
    """A NaN or an infinite loss interrupts a line, and does not scale it."""
    for loss in (1.0, math.nan, math.inf):
        session.apply(Batch(0, 0, loss), 1001.0)

    means = [point.mean for point in points_of(session_view(session, 2.0), LOSS, By.STEP)]

    assert means[0] == 1.0
    assert all(map(math.isnan, means[1:]))


def test_averages_are_drawn_by_epoch(session):
    """When they came is not kept, so they are never drawn by time; one that was not reported has none."""
    session.apply(Epoch(1, 0.9, validation_loss=1.1), 1001.0)
    session.apply(Epoch(2, 0.8), 1002.0)
    session.apply(Epoch(3, 0.7, validation_loss=0.9), 1003.0)
    view = session_view(session, 2000.0)

    assert axis_of("epoch.validation_loss", By.TIME) is By.EPOCH
    points = points_of(view, "epoch.validation_loss", By.EPOCH)
    assert [(point.x, point.mean) for point in points] == [(1.0, 1.1), (3.0, 0.9)]


def test_a_run_by_steps_is_drawn_at_its_own_steps(session):
    """It may have begun at step 5000, in an attempt that goes on from there."""
    for step in range(5000, 5010):
        session.apply(Batch(0, step, 1.0, step=step), 1001.0)

    points = points_of(session_view(session, 2000.0), LOSS, By.STEP)

    assert (points[0].x, points[-1].x) == (5000.5, 5009.5)


def test_only_curves_that_somebody_has_are_offered(session):
    """A run that reports no accuracy has no empty chart of it."""
    nothing = session_view(session, 2.0)
    assert curves_of([nothing]) == ()

    session.apply(Batch(0, 0, 1.0), 1001.0)
    session.apply(Epoch(0, 0.9, learning_rate=0.1), 1001.0)

    assert curves_of([session_view(session, 2.0), nothing]) == (
        *("loss", "epoch.loss"),
        "epoch.learning_rate",
    )
    assert points_of(nothing, LOSS, By.TIME) == ()


def test_numbers_by_name_are_curves_too(session):
    """Each by its split and name; one that has the name of another curve has a mark before it."""
    for step in (40, 50):
        session.apply(Scalars(0, 0, {"loss": 1.0, "cer": 0.5}, step), 1010.0)
        session.apply(Scalars(0, 0, {"loss": 2.0}, step, "train"), 1000.0 + step)
    view = session_view(session, 2000.0)

    assert curves_of([view]) == ("cer", "scalar.loss", "train/loss")
    by_step, by_time = (points_of(view, "train/loss", by) for by in (By.STEP, By.TIME))
    assert [(point.x, point.mean) for point in by_step] == [(40.0, 2.0), (50.0, 2.0)]
    assert [point.x for point in by_time] == [40.0, 50.0]
    assert points_of(view, "unknown", By.STEP) == ()
