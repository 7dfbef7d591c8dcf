"""What a training loop is busy with."""

import timeit

import pytest
from support.clocks import Hands

from bridge.client.left_out import LeftOut, Reason
from bridge.client.phases import PhaseClock
from bridge.protocol import PHASES_LIMIT


@pytest.fixture
def hands():
    """Return the clock of the phases."""
    return Hands()


@pytest.fixture
def phases(hands):
    """Return the phases of a loop that has just begun."""
    return PhaseClock(LeftOut(), hands)


def names(reading):
    """Return the phases that the loop is in."""
    return [name for name, _ in reading.active]


def spent(phases):
    """Return the seconds of each phase that has had any."""
    return {name: seconds for name, seconds in phases.read().seconds.items() if seconds}


def test_what_comes_before_the_first_step_is_startup_and_what_follows_is_training(phases, hands):
    """Nobody has to say so."""
    hands.turn(7)
    phases.begin_training()
    hands.turn(2)

    assert names(phases.read()) == ["training"]
    assert spent(phases) == {"startup": 7, "training": 2}


def test_the_inner_phase_counts_then_the_outer_goes_on(phases, hands):
    """Seconds are given to one phase at a time, so that all of them add up to the time that has passed."""
    phases.begin_training()
    with phases.phase("validation"):
        hands.turn(3)
        with phases.phase("data"):
            hands.turn(1)
            assert names(phases.read()) == ["training", "validation", "data"]
        hands.turn(4)
    hands.turn(5)

    assert spent(phases) == {"validation": 7, "data": 1, "training": 5}


def test_a_phase_that_is_new_while_the_seconds_are_read_costs_no_reading(phases, hands):
    """The loop's thread enters it between two instructions of the thread that reads, and without a lock."""

    class Entered(dict):
        """Totals, of which a copy is finished just before the loop goes on."""

        def keys(self):
            phases.totals = dict(self.items())
            names = list(super().keys())
            phases.phase("validation").__enter__()
            return names

        def __iter__(self):
            return iter(super().keys())

    phases.begin_training()
    phases.totals = Entered(phases.totals)

    assert phases.read().seconds["validation"] == 0
    hands.turn(3)
    assert phases.read().seconds["validation"] == 3


def test_a_phase_may_be_entered_again_while_it_lasts(phases, hands):
    """A validation inside of a validation is one."""
    phase = phases.phase("validation")
    with phase, phase:
        hands.turn(1)
    hands.turn(2)

    assert spent(phases) == {"validation": 1, "startup": 2}


def test_an_exception_passes_and_ends_the_phase(phases, hands):
    """As if there were no phase around it."""
    with pytest.raises(KeyError), phases.phase("data"):
        raise KeyError("x")
    hands.turn(1)

    assert spent(phases) == {"startup": 1}


def test_phases_that_end_in_another_order_leave_none_behind(phases, hands):
    """A generator that loads data may be closed after what has asked for it."""
    data, validation = phases.phase("data"), phases.phase("validation")
    data.__enter__()
    validation.__enter__()
    data.__exit__(None, None, None)
    assert names(phases.read()) == ["startup", "validation"]
    validation.__exit__(None, None, None)
    validation.__exit__(None, None, None)

    assert names(phases.read()) == ["startup"]


def test_a_start_up_that_validates_first_goes_on_as_training(phases, hands):
    """The first step may lie within a phase."""
    with phases.phase("checkpoint"):
        phases.begin_training()
        hands.turn(1)
    hands.turn(2)

    assert spent(phases) == {"checkpoint": 1, "training": 2}


def test_a_reading_between_two_steps_of_a_change_counts_nothing_twice(hands):
    """It misses what has just ended, and the next reading has it."""
    phases = PhaseClock(LeftOut(), hands)
    hands.turn(5)
    readings = []

    class Totals(dict):
        def __setitem__(self, name, value):
            readings.append(dict(phases.read().seconds))
            super().__setitem__(name, value)

    phases.totals = Totals(phases.totals)
    phases.begin_training()

    assert readings == [{"startup": 0.0, "training": 0.0, "idle": 0.0}]
    assert spent(phases) == {"startup": 5}


@pytest.mark.parametrize("name", ["", "two words", "1st", "x" * 33, "stalled", "lost", None, 3, []])
def test_what_cannot_be_the_name_of_a_phase_costs_the_phase_and_not_the_run(name):
    """It is counted and said once; the block runs."""
    account = LeftOut()
    phases = PhaseClock(account)
    for _ in range(2):
        with phases.phase(name):
            pass

    assert account.of("phases", Reason.UNREADABLE) == 2
    assert names(phases.read()) == ["startup"]
    with pytest.raises(ValueError, match="phases"):
        PhaseClock(LeftOut(strict=True)).phase(name)


def test_a_session_has_a_limited_number_of_phases():
    """A bridge keeps so many, two of which only it derives; all others are counted, and those known go on."""
    account = LeftOut()
    phases = PhaseClock(account)
    for number in range(40):
        with phases.phase(f"phase{number}"):
            pass
    with phases.phase("phase3"), phases.phase("training"):
        pass

    assert len(phases.read().seconds) == PHASES_LIMIT - 2
    assert account.of("phases", Reason.UNREADABLE) == 40 - (PHASES_LIMIT - 2 - 3)


def test_a_phase_around_every_fetch_of_data_costs_microseconds():
    """A generous limit: what is measured is that nothing is queued, locked or sent."""
    phases = PhaseClock(LeftOut())

    def fetch():
        with phases.phase("data"):
            pass

    assert min(timeit.repeat(fetch, number=2_000, repeat=5)) / 2_000 < 20e-6
