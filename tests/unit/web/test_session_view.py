"""What is derived from what a session reported."""

import math

import pytest

from bridge.lifecycle import Absent, Connected, Disconnected, Ended, SentElsewhere
from bridge.model import (
    Batch,
    Client,
    Config,
    Epoch,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.session import Session
from bridge.web.session_view import session_view


def run(*events, total=4, per_epoch=10):
    """Return the view of a session after some events, 100 s after it began."""
    session = Session("run-1", Client(), Config(total, per_epoch), now=0.0)
    session.apply(Connected(), 0.0)
    for event in events:
        session.apply(event, 50.0)
    return session_view(session, 100.0)


@pytest.mark.parametrize(
    ("events", "progress"),
    [
        ((), 0.0),
        ((Batch(0, 4, 0.5),), 0.125),
        ((Batch(1, 4, 0.5),), 0.125),
        ((Batch(0, 9, 0.5), Epoch(0, 0.5, 0.5), Batch(1, 4, 0.5)), 0.375),
        ((Batch(0, 9, 0.5), Epoch(0, 0.5, 0.5)), 0.25),
        ((Batch(0, 5, 0.5), Batch(3, 500, 0.5)), 1.0),
        ((Batch(0, 5, 0.5), Batch(2**32 - 1, 0, 0.5)), 1.0),
        ((Batch(0, 5, 0.5), StatusChange(Status.COMPLETED)), 0.15),
        ((Batch(0, 0, 0.5), Batch(3, 8, 0.5), StatusChange(Status.COMPLETED)), 1.0),
        ((Batch(1, 0, 0.5), Batch(4, 8, 0.5), StatusChange(Status.COMPLETED)), 1.0),
        ((Batch(0, 0, 0.5), Batch(3, 5, 0.5), StatusChange(Status.COMPLETED)), 0.9),
        ((Batch(0, 5, 0.5), Batch(1, 4, 0.5), StatusChange(Status.STOPPED)), 0.375),
        ((Epoch(1, 0.5), Epoch(2, 0.5), StatusChange(Status.COMPLETED)), 0.5),
    ],
)
def test_progress(events, progress):
    """From 0 to 1, whether a loop counts its epochs from 0 or from 1."""
    assert run(*events).progress_ratio == pytest.approx(progress)


def test_epochs_alone_tell_how_far_a_run_is():
    """A loop that reports averages and no batches has begun, and is where its last epoch is."""
    seen = run(Epoch(1, 0.5), Epoch(2, 0.4))

    assert (seen.progress_ratio, seen.progress_text) == (0.5, "epoch 2 of 4")
    assert run(Scalars(3, 7, {"reward": 1.0})).progress_ratio == pytest.approx(0.95)
    assert run(Epoch(0, 0.5), Epoch(1, 0.4), Batch(0, 4, 0.5)).progress_text == "epoch 0 of 4"


def test_an_epoch_that_is_reported_in_parts_is_one():
    """What a later report of the same epoch leaves out stays as it was."""
    seen = run(Epoch(1, 0.5, 0.25), Epoch(2, 0.25), Epoch(1, None, None, 0.75, 0.5, 0.0))

    assert seen.epochs_done == (Epoch(1, 0.5, 0.25, 0.75, 0.5, 0.0), Epoch(2, 0.25))
    assert seen.accuracy == 0.5


def test_no_plan_no_progress():
    """Without planned epochs there is no progress."""
    seen = run(Batch(3, 4, 0.5), total=0)

    assert seen.progress_ratio is None
    assert seen.remaining_seconds is None
    assert seen.progress_text == "epoch 3"


def test_the_remaining_time_is_reported_or_estimated():
    """The loop's own estimate wins, else the pace so far; none for a session that is over."""
    half = (Batch(0, 9, 0.5), Batch(1, 9, 0.5))

    assert run(*half).remaining_seconds == pytest.approx(100.0)
    assert run(*half, Performance(0.1, 1, 33.0, 1, 1)).remaining_seconds == 33.0
    assert run(*half, Performance(0.1, 1, math.nan, 1, 1)).remaining_seconds == pytest.approx(100.0)
    assert run(*half, Ended(Stage.ENDED)).remaining_seconds is None


def test_a_view_does_not_change():
    """A page rendered in a thread sees one moment, whatever arrives meanwhile."""
    session = Session("run-1", Client(), Config(), now=0.0)
    session.apply(Batch(0, 0, 0.5), 1.0)
    seen = session_view(session, 2.0)

    session.apply(Batch(0, 1, 9.0), 3.0)
    session.losses.bins[0].high = 99.0

    assert (seen.batch, seen.loss, len(seen.loss_bins), seen.loss_bins[0].high) == (0, 0.5, 1, 0.5)


def test_scalars_alone_do_not_say_where_a_run_is():
    """A run that only logs scalars has begun, and is neither at epoch 0 nor at 100%."""
    live = run(Scalars(0, 0, {"reward": 1.0}))
    over = run(Scalars(0, 0, {"reward": 1.0}), StatusChange(Status.COMPLETED))

    for seen in (live, over):
        assert seen.progress_ratio is None
        assert seen.progress_text == "scalars only"
    assert run(Scalars(3, 7, {"reward": 1.0}), total=0).progress_text == "epoch 3"


def test_a_first_epoch_of_unknown_length_is_not_at_zero():
    """Where nothing says how much of it is done, there is no progress; after it, there is."""
    assert run(Batch(0, 99, 0.5), per_epoch=0).progress_ratio is None
    assert run(Batch(0, 99, 0.5), Batch(1, 0, 0.5), per_epoch=0).progress_ratio == 0.25


def test_a_run_that_stands_still_has_no_time_remaining():
    """Nobody knows when a paused or a silent run goes on."""
    half = (Batch(0, 9, 0.5), Batch(1, 9, 0.5))

    assert run(*half, StatusChange(Status.PAUSED)).remaining_seconds is None
    assert run(*half, Disconnected()).remaining_seconds is None


def test_a_run_that_was_completed_early_says_how_far_it_came():
    """Stopping early is an end like any other, and no reason to claim the rest."""
    early = run(Batch(0, 5, 0.5), Batch(2, 9, 0.5), StatusChange(Status.COMPLETED))
    whole = run(Batch(0, 5, 0.5), Batch(3, 8, 0.5), StatusChange(Status.COMPLETED))
    midst = run(Batch(0, 0, 0.5), StatusChange(Status.COMPLETED), total=1)

    assert (early.progress_text, early.progress_ratio) == ("3 of 4 epochs", 0.75)
    assert (whole.progress_text, whole.progress_ratio) == ("4 of 4 epochs", 1.0)
    assert (midst.progress_text, midst.progress_ratio) == ("epoch 0 of 1", pytest.approx(0.1))


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ((Batch(0, 0, 0.5),), 100.0),
        ((Batch(0, 0, 0.5), Disconnected()), 100.0),
        ((Batch(0, 0, 0.5), Disconnected(), Absent()), 50.0),
        ((Batch(0, 0, 0.5), Ended(Stage.LOST)), 50.0),
        ((Batch(0, 0, 0.5), StatusChange(Status.TERMINATED), Ended(Stage.ENDED)), 50.0),
        ((Scalars(0, 0, {"a": 1.0}), Ended(Stage.LOST)), 60.0),
        ((Batch(0, 0, 0.5), SentElsewhere(), Disconnected()), 50.0),
    ],
)
def test_a_run_has_taken_as_long_as_its_steps(events, seconds):
    """Not until somebody noticed that it is gone; without batches, until its last message."""
    session = Session("run-1", Client(), Config(), now=0.0)
    session.apply(Connected(), 0.0)
    for event in events:
        session.apply(event, 50.0)
    session.updated_at = 60.0
    session.ended_at = session.ended_at and 95.0

    assert session_view(session, 100.0).elapsed_seconds == seconds


def reported(*events, now=1_000_000_000.0):
    """Return the view of a session 50 s after the last of some events, which came 50 s after it began."""
    session = Session("run-1", Client(), Config(4, 10), now=now)
    session.apply(Connected(), now)
    for event in events:
        session.apply(event, now + 50)
    return session_view(session, now + 100)


TRAINING = (StatusChange(Status.RUNNING), Batch(0, 1, 0.5), Batch(0, 2, 0.5))


def test_a_connected_run_without_steps_stands_still():
    """Its view says for how long, and not how long it will still take."""
    view = reported(*TRAINING)

    assert view.standstill.seconds == 50.0
    assert view.remaining_seconds is None


@pytest.mark.parametrize(
    "last",
    [
        StatusChange(Status.PAUSED),
        StatusChange(Status.UNKNOWN, phase="validation"),
        StatusChange(Status.COMPLETED),
        Disconnected(),
    ],
    ids=["paused", "validates", "completed", "not connected"],
)
def test_what_is_not_training_does_not_stand_still(last):
    """Its last step may be long ago."""
    assert reported(*TRAINING, last).standstill is None


def test_goodput_is_the_share_of_training():
    """Of the time of the attempt; before the first step there is none."""
    seconds = {"training": 30.0, "checkpoint": 10.0}
    view = reported(
        Batch(0, 1, 0.5), StatusChange(Status.UNKNOWN, phase_seconds=seconds, phase="training")
    )

    assert reported().goodput_ratio is None
    assert 0.2 < view.goodput_ratio <= 0.75


def rank(**config):
    """Return a rank that only counts its steps."""
    return Session(
        "run-1-rank1", Client(run_id="run-1", rank=1, world_size=2), Config(**config), now=0.0
    )


def test_a_rank_that_only_counts_is_as_far_as_its_steps():
    """While it runs and when it is done, although no batch says where it is."""
    session = rank(total_epochs=1, batches_per_epoch=600)
    session.apply(Performance(batches=300, step=299), 1.0)
    seen = session_view(session, 2.0)
    assert (seen.progress_ratio, seen.progress_text) == (0.5, "step 299 of 600")

    session.apply(Performance(batches=600, step=599), 2.0)
    session.apply(StatusChange(Status.COMPLETED), 2.0)
    seen = session_view(session, 2.0)
    assert (seen.progress_ratio, seen.progress_text) == (1.0, "600 of 600 steps")


def test_a_rank_that_only_counts_is_in_no_epoch():
    """It has not said in which one, so nothing says that it is the first."""
    session = rank(total_epochs=5, batches_per_epoch=100)
    session.apply(Performance(batches=250), 1.0)

    seen = session_view(session, 2.0)

    assert (seen.progress_ratio, seen.progress_text, seen.has_place) == (0.5, "250 steps", False)


def test_one_epoch_with_steps_of_its_own_is_an_epoch():
    """Where a step is several batches, as with accumulated gradients, one is not taken for the other."""
    seen = run(
        *(Batch(0, batch, 0.5, step=batch // 4) for batch in range(9)), total=1, per_epoch=20
    )

    assert not seen.counts_steps
    assert (seen.step, seen.progress_ratio) == (2, 0.45)
    assert seen.progress_text == "epoch 0 of 1"
