"""How much of the time of an attempt was training."""

import pytest

from bridge.web.goodput import own_goodput_ratio


def test_training_is_compared_with_everything_else():
    """Start-up, validation and stalls count against it; what was lost before the attempt does not."""
    seconds = {"training": 60.0, "startup": 10.0, "stalled": 20.0, "lost": 30.0}

    assert own_goodput_ratio(seconds) == pytest.approx(60 / 90)


def test_nothing_trained_is_not_zero():
    """An attempt that has only just begun has no goodput yet."""
    assert own_goodput_ratio({}) is None
    assert own_goodput_ratio({"startup": 5.0, "lost": 5.0}) is None
