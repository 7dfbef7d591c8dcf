"""Curves of numbers that a run logs by name."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.scalar_curve import POINTS_LIMIT, ScalarCurve
from bridge.storage.packed import packed, unpacked


def curve_of(values):
    """Return the curve of values that came once a second, one a step."""
    curve = ScalarCurve()
    for number, value in enumerate(values):
        curve.add(value, at=100.0 + number, step=number)
    return curve


@given(st.lists(st.floats(width=32), max_size=2_000))
def test_no_extreme_is_lost_in_bounded_room(values):
    """However many values come, the points are few, and their extremes are those of the values."""
    points = curve_of(values).points

    finite = [value for value in values if math.isfinite(value)]
    assert len(points) <= POINTS_LIMIT
    assert sum(point.finite for point in points) == len(finite)
    assert sum(point.nonfinite for point in points) == len(values) - len(finite)
    if finite:
        assert min(point.low for point in points) == min(finite)
        assert max(point.high for point in points) == max(finite)


def test_points_are_in_order_with_their_mean_and_their_step():
    """A point of several values says when and at which step it began."""
    points = curve_of(range(480)).points

    assert len(points) == POINTS_LIMIT
    assert [point.step for point in points] == list(range(0, 480, 2))
    assert (points[1].at, points[1].mean, points[1].low, points[1].high) == (102.0, 2.5, 2.0, 3.0)


def test_values_that_are_not_finite_leave_no_mean():
    """A point without a finite value has none; NaN and infinity stay distinct while they stand alone."""
    curve = curve_of([math.nan, math.inf, 1.0])

    restored = ScalarCurve.restored(unpacked(packed(curve.snapshot())))

    assert all(math.isnan(point.mean) for point in restored.points[:2])
    assert [point.nonfinite for point in restored.points] == [1, 1, 0]
    assert restored.points[1].total == math.inf
    assert restored.points[2].mean == 1.0


@pytest.mark.parametrize("count", [0, 1, 3, 240, 241, 1_000])
def test_a_restored_curve_goes_on_as_if_nothing_had_happened(count):
    """A snapshot survives the disk, and what comes later has the same effect."""
    curve = curve_of(range(count))
    restored = ScalarCurve.restored(unpacked(packed(curve.snapshot())))

    for number in range(700):
        for each in (curve, restored):
            each.add(number / 7, at=number, step=number)

    assert restored.points == curve.points


@pytest.mark.parametrize("state", [[0, []], ["a", []], [1, [1.0]], [2, [1.0]], [2, ["a"] * 7], [1]])
def test_a_damaged_snapshot_is_refused(state):
    """What no curve writes never becomes a curve."""
    with pytest.raises((TypeError, ValueError)):
        ScalarCurve.restored(state)


def test_thinning_keeps_a_last_point_without_a_partner():
    """An odd number of points can be halved, and the last one fills up."""
    curve = curve_of(range(5))

    curve.halve()
    curve.add(5.0, at=0.0, step=5)
    curve.add(6.0, at=0.0, step=6)

    assert [point.finite for point in curve.points] == [2, 2, 2, 1]


def test_a_frozen_curve_stays_as_it_was():
    """What is being drawn does not change, whatever is added or thinned meanwhile."""
    for change in (lambda curve: curve.add(9.0, at=9.0, step=9), ScalarCurve.halve):
        curve = curve_of(range(5))
        frozen = curve.frozen()
        points = frozen.points

        change(curve)
        curve.add(10.0, at=10.0, step=10)

        assert frozen.points == points
        assert curve.points != points
