"""Waits between attempts: random, and longer after each failure."""

import random

from bridge.backoff import backoff_seconds


def test_backoff_is_jittered_and_grows_to_a_minute():
    """0.5 s at most after the first failure, doubling up to 60 s, and anything in between."""
    first = [backoff_seconds(0) for _ in range(200)]
    late = [backoff_seconds(30) for _ in range(200)]

    assert max(first) <= 0.5
    assert 30 < max(late) <= 60
    assert min(late) < 30


def test_the_limits_are_the_callers():
    """What is down decides how long it is left alone."""
    waits = [
        backoff_seconds(failures, first_seconds=0.2, longest_seconds=0.3) for failures in range(200)
    ]

    assert waits[0] <= 0.2
    assert 0.2 < max(waits) <= 0.3


def test_the_generator_of_the_program_is_left_alone():
    """A loop that has seeded it gets the numbers it expects, whether a bridge is there or not."""
    before = random.getstate()

    backoff_seconds(3)

    assert random.getstate() == before
