"""Moments as people give them on the command line."""

import argparse
import time

import pytest

from bridge.cli.moments import moment


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45min", 2_700), ("2h", 7_200), ("1.5d", 129_600)]
)
def test_so_long_ago(text, seconds):
    """Counted back from now."""
    before = time.time()
    found = moment(text)

    assert before - seconds <= found <= time.time() - seconds


def test_a_date_and_time():
    """As ISO 8601 has it; what has an offset means the same everywhere."""
    assert moment("2023-11-14T22:13:20+00:00") == 1_700_000_000.0


@pytest.mark.parametrize("text", ["yesterday", "2 h", "", "2y", "0001-01-01"])
def test_anything_else_is_refused(text):
    """With both ways to give one."""
    with pytest.raises(argparse.ArgumentTypeError, match="2h, 3d or 45min, or a time such as"):
        moment(text)
