"""A curve of numbers that a run logs under one name: every extreme of it in few points, each a few bytes."""

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

POINTS_LIMIT = 240
"""Points of one curve; an even number, since two become one where there are more."""


class Point(NamedTuple):
    """Consecutive values, drawn as one point."""

    at: float
    """When its first value arrived, in seconds since 1970."""
    step: float
    """The training step of its first value."""
    finite: float
    """How many of its values are finite."""
    nonfinite: float
    total: float
    """Of these."""
    low: float
    high: float

    @property
    def mean(self) -> float:
        """The mean of the finite values; NaN if there were none."""
        return self.total / self.finite if self.finite else math.nan


FIELDS = len(Point._fields)

VALUE_FIELDS = 3
"""Of a point that stands for one value: when it came, its step, and the value itself."""


class ScalarCurve:
    """Keeps every extreme of an endless series in few points, each of equally many values."""

    __slots__ = ("_is_shared", "_numbers", "_stride", "values")

    def __init__(self) -> None:
        """Start empty."""
        self.values = 0
        """How many there were."""
        self._stride = 1
        self._numbers = array("d")
        self._is_shared = False
        """With a frozen curve, so that the numbers must be copied before they change."""

    @classmethod
    def of(cls, points: Iterable[Point]) -> "ScalarCurve":
        """Return a curve of points that there are, in order; it is only read, since they may stand for unequally many values."""
        curve = cls()
        for point in points:
            curve._numbers.extend(point)
            curve.values += int(point.finite + point.nonfinite)
        while len(curve) > POINTS_LIMIT:
            curve.halve()
        return curve

    def __len__(self) -> int:
        """Count the points."""
        return len(self._numbers) // FIELDS

    @property
    def points(self) -> tuple[Point, ...]:
        """Copies of the points, in the order in which their values came."""
        return tuple(_points(self._numbers))

    def add(self, value: float, *, at: float, step: float) -> None:
        """Add a value that arrived at `at`, logged at a training step."""
        value, at, step = float(value), float(at), float(step)
        self.values += 1
        if self._is_shared:
            self._numbers, self._is_shared = self._numbers[:], False
        numbers = self._numbers
        if not numbers or self._is_last_full:
            if len(self) >= POINTS_LIMIT:
                self.halve()
            self._numbers.extend(_point_of(at, step, value))
            return
        last = Point(*numbers[-FIELDS:])
        joined = _joined(last, Point(*_point_of(at, step, value)))
        numbers[-FIELDS:] = array("d", joined)

    def halve(self) -> None:
        """Make one point of every two."""
        points = list(_points(self._numbers))
        last = points.pop() if len(points) % 2 else None
        self._numbers = array("d")
        for a, b in zip(points[::2], points[1::2], strict=True):
            self._numbers.extend(_joined(a, b))
        if last is not None:
            self._numbers.extend(last)
        self._stride *= 2
        self._is_shared = False

    def frozen(self) -> "ScalarCurve":
        """Return this curve as it is now, to be read in any thread; it takes no room until this one changes."""
        curve = ScalarCurve()
        curve._stride, curve._numbers, curve.values = self._stride, self._numbers, self.values
        self._is_shared = curve._is_shared = True
        return curve

    def snapshot(self) -> list[Any]:
        """Return what `restored` takes, in plain values: while no value was joined to another, three numbers each."""
        if self._stride > 1:
            return [self._stride, self._numbers.tolist()]
        return [1, [number for point in _points(self._numbers) for number in _value_of(point)]]

    @classmethod
    def restored(cls, state: Sequence[Any]) -> "ScalarCurve":
        """Return the curve of a snapshot; raises TypeError or ValueError for one that is damaged."""
        curve = cls()
        curve._stride, numbers = state
        if type(curve._stride) is not int or curve._stride < 1:
            raise ValueError("the stride of a curve is a whole number from 1")
        if curve._stride > 1:
            curve._numbers.extend(numbers)
        else:
            for at, step, value in _rows(numbers, VALUE_FIELDS):
                curve._numbers.extend(_point_of(at, step, value))
        if len(curve._numbers) % FIELDS:
            raise ValueError("a point of a curve is cut off")
        curve.values = int(sum(point.finite + point.nonfinite for point in curve.points))
        return curve

    @property
    def _is_last_full(self) -> bool:
        _, _, finite, nonfinite, *_ = self._numbers[-FIELDS:]
        return finite + nonfinite >= self._stride


def _point_of(at: float, step: float, value: float) -> tuple[float, ...]:
    """Return the fields of a point that stands for one value; one that is not finite is its own total."""
    if math.isfinite(value):
        return (at, step, 1, 0, value, value, value)
    return (at, step, 0, 1, value, math.inf, -math.inf)


def _value_of(point: Point) -> tuple[float, float, float]:
    return (point.at, point.step, point.total)


def _joined(a: Point, b: Point) -> Point:
    totals = [point.total for point in (a, b) if point.finite]
    return Point(
        a.at,
        a.step,
        a.finite + b.finite,
        a.nonfinite + b.nonfinite,
        sum(totals) if totals else b.total,
        min(a.low, b.low),
        max(a.high, b.high),
    )


def _points(numbers: Sequence[float]) -> Iterator[Point]:
    return (Point(*row) for row in _rows(numbers, FIELDS))


def _rows(numbers: Sequence[float], width: int) -> Iterable[tuple[float, ...]]:
    rows = [iter(numbers)] * width
    return zip(*rows, strict=True)
