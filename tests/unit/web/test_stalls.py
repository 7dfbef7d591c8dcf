"""Whether a run that seems to train makes no step, as its page says it."""

import pytest

from bridge.web.stalls import NOTED_SECONDS, standstill


def after(seconds, *, phase="training", stepping=10.0, batches=100):
    """Return the standstill of a loop so many seconds after its last step."""
    return standstill(
        phase=phase,
        phase_seconds={phase: stepping + seconds, "validation": 1_000.0},
        stepped_at=1_000.0,
        batches=batches,
        now=1_000.0 + seconds,
    )


def test_a_loop_that_makes_steps_does_not_stand_still():
    """A page says nothing while steps may still be on their way."""
    assert after(NOTED_SECONDS) is None


def test_a_loop_without_a_step_stands_still_and_is_stalled_after_minutes():
    """The page says so early, with what a step took before; five minutes later it counts as stalled."""
    early, late = after(16.0), after(301.0)

    assert (early.seconds, early.usual_seconds) == (16.0, 0.1)
    assert not early.counts_as_stalled
    assert late.counts_as_stalled


def test_slow_steps_are_given_twenty_times_their_own():
    """A loop of a minute a step is late after twenty minutes, and the wait itself makes no step slower."""
    assert after(1_100.0, stepping=600.0, batches=10) is None
    late = after(1_300.0, stepping=600.0, batches=10)
    assert late.usual_seconds == 60.0
    assert late.counts_as_stalled


@pytest.mark.parametrize("phase", ["validation", "startup", "checkpoint", "idle", "self-play", ""])
def test_what_is_busy_with_something_else_does_not_stand_still(phase):
    """However long it takes."""
    assert after(10_000.0, phase=phase) is None


def test_before_the_first_step_nothing_stands_still():
    """A start may take an hour."""
    assert after(10_000.0, batches=0) is None
