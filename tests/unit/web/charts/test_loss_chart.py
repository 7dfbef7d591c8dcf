"""The loss curve as points."""

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from support.pages import coordinates

from bridge.history import Curve
from bridge.web.charts.loss_chart import loss_chart, sparkline


def curve(*losses, per_epoch=10):
    """Return a curve of losses, with so many in an epoch."""
    curve = Curve()
    for number, loss in enumerate(losses):
        curve.add(loss, at=float(number), epoch=number // per_epoch, batch=number % per_epoch)
    return curve.bins


@settings(deadline=None)
@given(st.lists(st.floats(width=64), min_size=1, max_size=600))
def test_whatever_comes_is_drawn_inside_the_picture(losses):
    """No series of floats yields a coordinate that is not finite or lies outside."""
    chart = loss_chart(curve(*losses), height=300)
    small = sparkline(curve(*losses), height=44)

    for drawn in (chart, small):
        for points in (*drawn.bands, *(piece for line in drawn.lines for piece in line.pieces)):
            places = coordinates(points)
            assert all(math.isfinite(place) for place in places)
            assert all(0 <= x <= 1000 for x in places[::2])
            assert all(0 <= y <= drawn.height for y in places[1::2])


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


def test_nonfinite_losses_interrupt_the_line():
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


def test_the_labels_of_epochs_stay_inside():
    """Only the first says "epoch"; the last one, at the right edge, stands to the left of its line."""
    bins = curve(*[0.5] * 239, per_epoch=19)

    ticks = loss_chart(bins).x_ticks

    assert ticks[0].text == "epoch 0"
    assert all(tick.text.isdigit() for tick in ticks[1:])
    assert [tick.anchor for tick in ticks if tick.place > 90] == ["end"]
    assert all(b.place - a.place > 15 for a, b in itertools.pairwise(ticks))
