"""Phases that a client reports are names and numbers, or not reported."""

import math

import pytest

from bridge.receiver.phases import PHASES_LIMIT, phase_of, phase_seconds_of


@pytest.mark.parametrize("name", ["training", "my-own.phase_2", "A", "a" * 32])
def test_a_word_is_a_phase(name):
    """The words of the protocol, and those of a loop's own."""
    assert phase_of(name) == name


@pytest.mark.parametrize("name", ["", "2nd", "with space", 'a"b', "a" * 33, "größe", "a\n"])
def test_anything_else_is_not_reported(name):
    """It would be the value of a label."""
    assert phase_of(name) == ""
    assert phase_seconds_of({name: 1.0}) == {}


def test_only_numbers_of_seconds_are_kept():
    """A negative or endless time would poison a counter."""
    given = {"a": 1.5, "b": -1.0, "c": math.nan, "d": math.inf, "e": 0.0, "f": 1.7e308}

    assert phase_seconds_of(given) == {"a": 1.5, "e": 0.0}


def test_no_more_phases_are_kept_than_a_session_may_have():
    """The first ones by name, as on every bridge."""
    given = {f"phase-{number:03}": 1.0 for number in range(1_000)}

    assert list(phase_seconds_of(given)) == sorted(given)[:PHASES_LIMIT]
