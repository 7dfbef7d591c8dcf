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


@pytest.mark.parametrize("values", [(0.2, 0.99), (1.0, 1.0), (0.001, 0.9), (0.0, 1.0)])
def test_a_ratio_has_no_label_above_one(values):
    """No axis of an accuracy goes to 105%."""
    scale = scale_of(values, highest=1.0)

    assert scale.high <= 1.0
    assert max(scale.ticks()) <= 1.0


def test_a_value_above_the_limit_is_on_the_axis():
    """The limit is where an axis ends by itself, not where values are cut."""
    assert scale_of((0.5, 1.5), highest=1.0).high == 1.5
