"""Curves laid out as points."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.history import Curve
from bridge.web.charts.epoch_chart import epoch_chart
from bridge.web.charts.loss_chart import loss_chart, sparkline
from bridge.web.charts.scale import scale_of


def curve(*losses, per_epoch=10):
    """Return a curve of losses, so many an epoch."""
    curve = Curve()
    for number, loss in enumerate(losses):
        curve.add(loss, at=float(number), epoch=number // per_epoch, batch=number % per_epoch)
    return curve.bins


def numbers(text):
    """Return all coordinates of some points."""
    return [float(part) for point in text.split() for part in point.split(",")]


@settings(deadline=None)
@given(st.lists(st.floats(width=64), min_size=1, max_size=600))
def test_whatever_comes_is_drawn_inside_the_picture(losses):
    """No series of floats makes a coordinate that is no number or outside."""
    chart = loss_chart(curve(*losses), height=300)
    small = sparkline(curve(*losses), height=44)

    for drawn in (chart, small):
        for points in (*drawn.bands, *(piece for line in drawn.lines for piece in line.pieces)):
            places = numbers(points)
            assert all(math.isfinite(place) for place in places)
            assert all(0 <= x <= 1000 for x in places[::2])
            assert all(0 <= y <= drawn.height for y in places[1::2])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats() | st.none()), min_size=1, max_size=50)
)
def test_any_epochs_are_drawn_inside_the_picture(told):
    """Epochs with holes, huge numbers or values that are none stay inside."""
    told = sorted(dict(told).items())
    chart = epoch_chart([number for number, _ in told], [("loss", "a", [loss for _, loss in told])])

    for line in chart.lines if chart else ():
        for piece in line.pieces:
            assert all(math.isfinite(place) and 0 <= place <= 1000 for place in numbers(piece))


def test_a_spike_is_marked_where_it_was():
    """A single high loss among many leads to its own batch."""
    losses = [0.5] * 200
    losses[123] = 9.0

    (spike,) = loss_chart(curve(*losses)).spikes

    assert (spike.epoch, spike.batch, spike.high) == (12, 3, 9.0)


def test_a_calm_curve_has_no_spikes():
    """Noise is not worth a mark."""
    losses = [1.0 + 0.2 * math.sin(number) for number in range(200)]

    assert loss_chart(curve(*losses)).spikes == ()


def test_losses_that_are_no_numbers_break_the_line():
    """The line ends before them and goes on after them; neighbours are one mark."""
    chart = loss_chart(curve(1.0, 1.1, math.nan, math.nan, 1.2, 1.3))

    assert len(chart.lines[0].pieces) == 2
    (gap,) = chart.gaps
    assert (gap.epoch, gap.batch, gap.nonfinite) == (0, 2, 2)


def test_a_wide_range_is_drawn_on_a_log_axis():
    """Both a beginning at 100 and an end at 0.01 can be read."""
    assert loss_chart(curve(100.0, 1.0, 0.01)).is_log
    assert not loss_chart(curve(2.0, 1.0, 0.5)).is_log
    assert not loss_chart(curve(100.0, 0.0, -1.0)).is_log


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
