"""The chart in which sessions lie over one another."""

import math

import pytest
from support.pages import coordinates

from bridge.web.charts.comparison_chart import comparison_chart
from bridge.web.comparison.curves import By, Point


def points(*pairs):
    """Return points at (x, value)."""
    return [Point(x, value, value, value) for x, value in pairs]


def test_lines_share_both_axes():
    """The same step and the same value are in the same place for every session."""
    longer = points((0, 1.0), (50, 0.5), (100, 0.25))
    chart = comparison_chart([("a", "c0", longer), ("b", "c1", longer[:2])], By.STEP)

    first, second = (coordinates(line.pieces[0]) for line in chart.lines)
    assert first[:4] == second
    assert max(first[::2]) <= 1000


def test_a_line_is_interrupted_where_it_is_not_finite():
    """The rest of it is drawn, and a single value between two gaps as a dot."""
    nan = math.nan
    curve = points((0, 1.0), (1, nan), (2, 0.8), (3, nan), (4, 0.6), (5, 0.5))
    chart = comparison_chart([("a", "c0", curve)], By.STEP)

    [line] = chart.lines
    assert len(line.pieces) == 3
    assert line.last == 0.5
    assert len(line.dots) == 4


def test_a_session_without_values_has_no_line():
    """Its place in the legend goes to nobody else: each keeps its own style."""
    chart = comparison_chart(
        [("a", "c0", []), ("b", "c1", points((0, math.inf))), ("c", "c2", points((0, 1.0)))],
        By.STEP,
    )

    assert [(line.name, line.style) for line in chart.lines] == [("c", "c2")]
    assert comparison_chart([("a", "c0", [])], By.STEP) is None


@pytest.mark.parametrize(
    ("end", "by", "expected"),
    [
        (1000, By.STEP, ["step 0", "200", "400", "600", "800", "1,000"]),
        (3, By.EPOCH, ["epoch 0", "1", "2", "3"]),
        (0, By.STEP, ["step 0", "1"]),
        (2_400_000, By.STEP, ["step 0", "500 k", "1 M", "1.5 M", "2 M"]),
        (100, By.TIME, ["0", "30 s", "1 min", "1.5 min"]),
        (36_000, By.TIME, ["0", "2 h", "4 h", "6 h", "8 h", "10 h"]),
        (20 * 86_400, By.TIME, ["0", "4 d", "8 d", "12 d", "16 d", "20 d"]),
    ],
)
def test_the_x_axis_has_round_labels(end, by, expected):
    """Steps, epochs and durations, and never more labels than there is room for."""
    chart = comparison_chart([("a", "c0", points((0, 1.0), (end, 0.5)))], by)

    assert [tick.text for tick in chart.x_ticks] == expected
    assert all(0 <= tick.place <= 100 for tick in chart.x_ticks)


def test_runs_that_were_resumed_late_fill_the_chart():
    """Where everything happened after step 40,000 the axis begins there, and says so."""
    chart = comparison_chart([("a", "c0", points((40_000, 1.0), (44_000, 0.5)))], By.STEP)

    assert coordinates(chart.lines[0].pieces[0])[0] == 0
    assert [tick.text for tick in chart.x_ticks][:2] == ["step 40,000", "41,000"]


def test_many_points_are_not_dotted():
    """Only the last one of a long line is marked."""
    chart = comparison_chart([("a", "c0", points(*((x, 1.0 + x) for x in range(240))))], By.STEP)

    assert len(chart.lines[0].dots) == 1
