"""A chart of the same curve of several sessions."""

import math
from collections.abc import Sequence
from itertools import groupby

from bridge.web.charts.line_chart import (
    LARGEST,
    WIDTH,
    Chart,
    Line,
    Tick,
    svg_points,
    tick_at,
    y_of,
)
from bridge.web.charts.line_chart import y_ticks as y_ticks_of
from bridge.web.charts.scale import Scale, scale_of
from bridge.web.comparison.curves import By, Point
from bridge.web.formatting import count, short

MAX_DOTS = 60
"""A line of more points has only its last one marked."""

RIGHT = 0.985
"""Where the largest value of the x axis is drawn."""

TICKS = 6

TIME_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
TIME_STEPS = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 900.0, 1800.0),
    *(3_600.0, 7_200.0, 10_800.0, 21_600.0, 43_200.0),
)
"""Seconds between two labels of a time axis; beyond them whole days."""

Span = tuple[float, float]
"""The first and the last value of the x axis."""

Curve = tuple[str, str, Sequence[Point]]
"""Name, style and points of a line."""


def comparison_chart(curves: Sequence[Curve], by: By, *, height: int = 320) -> Chart | None:
    """Return a chart with a line for each curve, or None where no value can be drawn."""
    drawn = [(name, style, points) for name, style, points in curves if any(map(_is_drawn, points))]
    if not drawn:
        return None
    scale = scale_of(point.mean for _, _, points in drawn for point in points if _is_drawn(point))
    span = _span([point.x for _, _, points in drawn for point in points])
    lines = tuple(_line(name, style, points, span, scale, height) for name, style, points in drawn)
    return Chart(
        height,
        scale.is_log,
        lines,
        x_ticks=_x_ticks(span, by),
        y_ticks=y_ticks_of(scale, height),
    )


def _span(xs: Sequence[float]) -> Span:
    """Return where the x axis begins and ends: with 0, unless that would leave half of the chart empty."""
    first, last = min(xs), max(xs)
    return (first if 0 < last < 2 * first and first < last else 0.0), last or 1.0


def _place(x: float, span: Span) -> float:
    """Return where a value of the x axis is, from 0 to 1."""
    first, last = span
    return (x - first) / (last - first) * RIGHT


def _line(
    name: str, style: str, points: Sequence[Point], span: Span, scale: Scale, height: int
) -> Line:
    """Return a line that is interrupted where values are not finite."""
    runs = [list(run) for is_drawn, run in groupby(points, _is_drawn) if is_drawn]
    pieces = [
        [(_place(point.x, span) * WIDTH, y_of(scale, point.mean, height)) for point in run]
        for run in runs
    ]
    places = [place for piece in pieces for place in piece]
    alone = [piece[0] for piece in pieces if len(piece) == 1]
    dotted = places if len(places) <= MAX_DOTS else [*alone[:MAX_DOTS], places[-1]]
    dots = tuple((round(x / WIDTH * 100, 3), y) for x, y in dotted)
    return Line(name, style, tuple(map(svg_points, pieces)), dots, runs[-1][-1].mean)


def _is_drawn(point: Point) -> bool:
    return abs(point.mean) < LARGEST


def _x_ticks(span: Span, by: By) -> tuple[Tick, ...]:
    first, last = span
    if by is By.TIME:
        values = [value for value in _time_values(last) if value >= first]
        return tuple(_tick(value, span, _time_text(value)) for value in values)
    step = max(1.0, (last - first) / TICKS)
    power = 10.0 ** math.floor(math.log10(step))
    stride = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * 0.999)
    begin, end = math.ceil(first / stride), math.floor(last / stride)
    ticks = [index * stride for index in range(begin, end + 1)]
    return tuple(
        _tick(value, span, _step_text(value, by, is_first=value == ticks[0])) for value in ticks
    )


def _tick(value: float, span: Span, text: str) -> Tick:
    place = _place(value, span) * 100
    return tick_at(place, text, anchor="middle" if place else "start")


def _step_text(value: float, by: By, *, is_first: bool) -> str:
    return f"{by} {count(value)}" if is_first else count(value)


def _time_values(end: float) -> list[float]:
    rough = end / TICKS
    days = max(1.0, math.ceil(rough / 86_400)) * 86_400
    stride = next((step for step in TIME_STEPS if step >= rough), days)
    return [index * stride for index in range(math.floor(end / stride) + 1)]


def _time_text(seconds: float) -> str:
    if not seconds:
        return "0"
    size, unit = next(each for each in TIME_UNITS if seconds >= each[0])
    return f"{short(seconds / size)} {unit}"
