"""Axes and their labels."""

import pytest

from bridge.web.charts.scale import scale_of


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((0.0, 1.0), [0.0, 0.5, 1.0]),
        ((0.01, 100.0), [0.01, 0.1, 1.0, 10.0, 100.0]),
        ((0.1, 5.0), [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]),
        ((3.0, 3.0), [2.8, 3.0, 3.2]),
        ((), [0.0, 0.5, 1.0]),
    ],
)
def test_axes_are_labelled_with_round_values(values, ticks):
    """A reader sees 0.5 and 10, never 0.4837."""
    assert scale_of(values).ticks() == pytest.approx(ticks)
