"""What is sent of the phases of a run."""

import pytest
from support.clocks import Hands

from bridge.client.left_out import LeftOut
from bridge.client.phase_report import PhaseReport
from bridge.client.phases import PhaseClock


class Loop:
    """A training loop, and what is reported of it."""

    def __init__(self):
        self.hands = Hands()
        self.phases = PhaseClock(LeftOut(), self.hands)
        self.report = PhaseReport(self.phases.read)

    def go_on(self, seconds, *, every=1.0):
        """Let time pass, and look every second, as the collecting thread does."""
        while seconds > 0:
            self.hands.turn(min(seconds, every))
            seconds -= every
            self.look()

    def step(self):
        self.phases.begin_training()
        self.look(has_stepped=True)

    def look(self, *, has_stepped=False, batch_seconds=1.0):
        self.report.look(has_stepped=has_stepped, batch_seconds=batch_seconds)

    @property
    def seconds(self):
        return {name: round(value) for name, value in self.report.state().seconds.items()}


@pytest.fixture
def loop():
    """Return a loop that has just begun."""
    return Loop()


def test_a_loop_that_hangs_earns_the_time_of_a_late_step_and_no_more(loop):
    """The seconds beyond five minutes are stalled, while they pass, and for good."""
    loop.go_on(10)
    loop.step()
    loop.go_on(200)
    assert loop.seconds == {"startup": 10, "training": 200}
    loop.go_on(3_400)
    assert loop.seconds == {"startup": 10, "training": 300, "stalled": 3_300}
    loop.step()
    loop.go_on(100)
    assert loop.seconds == {"startup": 10, "training": 400, "stalled": 3_300}


def test_steps_that_always_take_long_do_not_stall(loop):
    """Twenty times the usual time of a batch is not unusual."""
    loop.step()
    loop.hands.turn(1_900)
    loop.look(batch_seconds=100.0)

    assert loop.seconds == {"training": 1_900}


def test_validation_and_pauses_never_stall_and_do_not_count_toward_it(loop):
    """A loop that validates for an hour between two steps has trained for all the rest."""
    loop.step()
    loop.go_on(200)
    with loop.phases.phase("validation"):
        loop.go_on(3_600)
    loop.go_on(50)
    loop.phases.enter_idle()
    loop.go_on(600)
    loop.phases.leave("idle")
    loop.go_on(50)

    assert loop.seconds == {"training": 300, "validation": 3_600, "idle": 600}


def test_waiting_for_data_that_never_comes_stalls_with_the_training_around_it(loop):
    """Both are the time of one step; a data loader that hangs earns nothing either."""
    loop.step()
    loop.go_on(100)
    with loop.phases.phase("data"):
        loop.go_on(1_000)

    assert loop.seconds == {"training": 100, "data": 200, "stalled": 800}


def test_a_process_that_was_frozen_for_hours_has_not_trained_for_hours(loop):
    """The step that follows is seen together with the freeze, and does not excuse it."""
    loop.step()
    loop.hands.turn(7_200)
    loop.step()

    assert loop.seconds == {"training": 300, "stalled": 6_900}


def test_a_run_without_batches_is_not_measured_by_them(loop):
    """Where only epochs are logged, nothing says how long a step takes."""
    loop.phases.begin_training()
    loop.go_on(4_000)

    assert loop.seconds == {"training": 4_000}


def test_a_phase_is_said_when_it_has_lasted_and_when_it_is_left(loop):
    """A validation shows after a second, and its end at once."""
    loop.step()
    assert loop.report.state().phase == "training"
    with loop.phases.phase("validation"):
        loop.go_on(0.5)
        assert not loop.report.is_due
        loop.go_on(0.6)
        assert loop.report.is_due
        assert loop.report.state().phase == "validation"
        loop.go_on(100)
        assert not loop.report.is_due
    loop.look()
    assert loop.report.is_due
    assert loop.report.state().phase == "training"


def test_fast_phases_that_alternate_make_no_messages(loop):
    """Whatever lies around them is what the loop is busy with; a fetch that takes long is said."""
    loop.step()
    loop.report.state()
    for _ in range(100):
        with loop.phases.phase("data"):
            loop.go_on(0.2)
            assert not loop.report.is_due
        loop.go_on(0.1)
        assert not loop.report.is_due
    with loop.phases.phase("validation"):
        loop.go_on(2)
        loop.report.state()
        for _ in range(50):
            with loop.phases.phase("data"):
                loop.go_on(0.4)
                assert not loop.report.is_due
    with loop.phases.phase("data"):
        loop.go_on(1.5)
        assert loop.report.state().phase == "data"


def test_a_pause_shows_from_its_first_moment(loop):
    """The status that says so carries the phase."""
    loop.step()
    loop.phases.enter_idle()
    loop.look()

    assert loop.report.state().phase == "idle"
