"""Charts of the numbers that a run logs by name: one for each name, its splits in one picture."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bridge.occurrences import Happened
from bridge.scalar_curve import Point
from bridge.web.charts.event_marks import MARKS_DRAWN, Mark
from bridge.web.charts.line_chart import (
    LARGEST,
    WIDTH,
    Tick,
    svg_points,
    tick_at,
    y_of,
    y_ticks,
)
from bridge.web.charts.scale import Scale, scale_of
from bridge.web.formatting import count, duration
from bridge.web.session_view import SessionView

HEIGHT = 130

POINTS_DRAWN = 80
"""Of each line: as many as a small chart can show."""

TICK_ROOM = 24.0
"""In pixels, between two labels of the y axis."""

LEFT, RIGHT = 0.02, 0.98
"""Where the first and the last value are drawn."""

STEP, TIME = "step", "time"
CHOICES = (STEP, TIME)
"""What curves are drawn over: the training step, or the time since the session was registered."""


@dataclass(frozen=True, slots=True)
class ScalarLine:
    """One split of a name."""

    split: str
    style: str
    newest: float
    """As it was logged."""
    pieces: tuple[str, ...]
    """Of the line of means, interrupted where values are not finite."""
    bands: tuple[str, ...]
    """Between the extremes, where values were joined."""
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ScalarChart:
    """All splits of one name over a shared axis."""

    name: str
    height: int
    is_log: bool
    lines: tuple[ScalarLine, ...]
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class _Axis:
    """From a point to its place."""

    x_of: Callable[[Point], float]
    first: float
    last: float
    scale: Scale

    def place(self, x: float) -> float:
        """Return where a value of the x axis is, from 0 to 1."""
        share = (x - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return LEFT + (RIGHT - LEFT) * share

    def at(self, point: Point, value: float) -> tuple[float, float]:
        """Return where a value of a point is drawn."""
        return self.place(self.x_of(point)) * WIDTH, y_of(self.scale, value, HEIGHT)


def scalar_charts(session: SessionView, by: str) -> tuple[ScalarChart, ...]:
    """Return a chart for each name: losses first, then by name, wherever each stands in a message."""
    by_name: dict[str, dict[str, tuple[Point, ...]]] = {}
    for (name, split), curve in session.scalar_curves.items():
        by_name.setdefault(name, {})[split] = _thinned(curve.points)
    styles = _styles(split for _, split in session.scalar_curves)
    return tuple(
        _chart(session, name, splits, styles, by)
        for name, splits in sorted(by_name.items(), key=_place_of)
        if splits
    )


def _place_of(named: tuple[str, object]) -> tuple[bool, str]:
    return (not named[0].lower().endswith("loss"), named[0])


def x_of(session: SessionView, by: str) -> Callable[[Point], float]:
    """Return what gives a point its place on the x axis."""
    began = session.registered_at
    if by == TIME:
        return lambda point: max(0.0, point.at - began)
    return lambda point: point.step


def _chart(
    session: SessionView,
    name: str,
    splits: Mapping[str, Sequence[Point]],
    styles: Mapping[str, str],
    by: str,
) -> ScalarChart:
    points = [point for each in splits.values() for point in each]
    place = x_of(session, by)
    places = [place(point) for point in points]
    values = (value for point in points if _is_drawn(point) for value in (point.low, point.high))
    axis = _Axis(place, min(places), max(places), scale_of(map(_bounded, values)))
    lines = tuple(
        _line(split, styles[split], _newest(session, name, split), each, axis)
        for split, each in splits.items()
    )
    return ScalarChart(
        name,
        HEIGHT,
        axis.scale.is_log,
        lines,
        _marks(session, axis, by),
        _x_ticks(axis, by),
        _with_room(y_ticks(axis.scale, HEIGHT)),
    )


def _with_room(ticks: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the labels of a y axis that do not touch one another."""
    kept: list[tuple[float, float]] = []
    for tick in ticks:
        if not kept or abs(tick[0] - kept[-1][0]) >= TICK_ROOM:
            kept.append(tick)
    return tuple(kept)


def _line(
    split: str, style: str, newest: float, points: Sequence[Point], axis: _Axis
) -> ScalarLine:
    runs = [list(run) for is_drawn, run in groupby(points, _is_drawn) if is_drawn]
    means = [[axis.at(point, _bounded(point.mean)) for point in run] for run in runs]
    alone = [run[0] for run in means if len(run) == 1]
    ends = [means[-1][-1]] if means else []
    dots = tuple((round(x / WIDTH * 100, 3), y) for x, y in [*alone, *ends])
    bands = tuple(_band(run, axis) for run in runs if any(point.low < point.high for point in run))
    return ScalarLine(split, style, newest, tuple(map(svg_points, means)), bands, dots)


def _band(run: Sequence[Point], axis: _Axis) -> str:
    highs = [axis.at(point, _bounded(point.high)) for point in run]
    lows = [axis.at(point, _bounded(point.low)) for point in run]
    return svg_points([*highs, *reversed(lows)])


def _marks(session: SessionView, axis: _Axis, by: str) -> tuple[Mark, ...]:
    """Return where on the axis events were reported, the newest of them."""
    placed = ((_event_x(session, happened, by), happened) for happened in session.occurrences)
    within = [(x, one) for x, one in placed if x is not None and axis.first <= x <= axis.last]
    return tuple(
        Mark(round(axis.place(x) * 100, 3), one.occurrence.name) for x, one in within[-MARKS_DRAWN:]
    )


def _event_x(session: SessionView, happened: Happened, by: str) -> float | None:
    if by == TIME:
        return happened.at - session.registered_at
    step = happened.occurrence.step
    return None if step is None else float(step)


def _x_ticks(axis: _Axis, by: str) -> tuple[Tick, ...]:
    """Label where the curve begins and where it ends."""
    text = duration if by == TIME else count
    first = tick_at(axis.place(axis.first) * 100, f"{by} {text(axis.first)}", anchor="start")
    if axis.last <= axis.first:
        return (first,)
    return (first, tick_at(axis.place(axis.last) * 100, text(axis.last), anchor="end"))


def _styles(splits: Iterable[str]) -> dict[str, str]:
    return {split: f"c{number}" for number, split in enumerate(dict.fromkeys(splits))}


def _newest(session: SessionView, name: str, split: str) -> float:
    values = session.scalars_by_split.get(split, {}) if split else session.scalars
    return values.get(name, math.nan)


def _is_drawn(point: Point) -> bool:
    return point.finite > 0


def _bounded(value: float) -> float:
    return min(LARGEST, max(-LARGEST, value))


def _thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return at most as many points as are drawn; those that become one keep their extremes."""
    stride = math.ceil(len(points) / POINTS_DRAWN)
    if stride <= 1:
        return tuple(points)
    return tuple(joined(points[at : at + stride]) for at in range(0, len(points), stride))


def joined(points: Sequence[Point]) -> Point:
    """Return neighbouring points as one."""
    return Point(
        points[0].at,
        points[0].step,
        sum(point.finite for point in points),
        sum(point.nonfinite for point in points),
        sum(point.total for point in points if point.finite),
        min(point.low for point in points),
        max(point.high for point in points),
    )
