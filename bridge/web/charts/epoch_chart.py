"""A chart of values that are reported once an epoch."""

import math
from collections.abc import Sequence

from bridge.web.charts.line_chart import (
    LARGEST,
    MAX_X_TICKS,
    WIDTH,
    Chart,
    Line,
    Tick,
    svg_points,
    tick_at,
    y_of,
    y_ticks,
)
from bridge.web.charts.scale import Scale, scale_of

MAX_DOTS = 60
"""A line of more points has only its last one marked."""

LEFT, RIGHT = 0.09, 0.96
"""Where the first and the last epoch are drawn, with room for dots and labels beside them."""

Series = tuple[str, str, Sequence[float | None]]
"""Name, style and values of a line."""


def epoch_chart(
    epochs: Sequence[int],
    series: Sequence[Series],
    *,
    height: int = 190,
    highest: float = math.inf,
) -> Chart | None:
    """Return a chart with a line for each series, or None where no value can be drawn.

    The axis ends at `highest`, unless a value is above it.
    """
    drawn = [_finite_points(epochs, values) for _, _, values in series]
    if not any(drawn):
        return None
    scale = scale_of((value for points in drawn for _, value in points), highest=highest)
    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)
    lines = tuple(
        _line(name, style, points, (first, last), scale, height)
        for (name, style, _), points in zip(series, drawn, strict=True)
        if points
    )
    return Chart(
        height,
        scale.is_log,
        lines,
        x_ticks=_epoch_ticks(first, last),
        y_ticks=y_ticks(scale, height),
    )


def _finite_points(
    epochs: Sequence[int], values: Sequence[float | None]
) -> list[tuple[int, float]]:
    return [
        (epoch, value)
        for epoch, value in zip(epochs, values, strict=True)
        if value is not None and abs(value) < LARGEST
    ]


def _line(
    name: str,
    style: str,
    points: Sequence[tuple[int, float]],
    span: tuple[int, int],
    scale: Scale,
    height: int,
) -> Line:
    places = [(_x_of(epoch, *span), y_of(scale, value, height)) for epoch, value in points]
    dotted = places if len(places) <= MAX_DOTS else places[-1:]
    dots = tuple((round(x / WIDTH * 100, 3), y) for x, y in dotted)
    return Line(name, style, (svg_points(places),), dots, points[-1][1])


def _epoch_ticks(first: int, last: int) -> tuple[Tick, ...]:
    stride = math.ceil((last - first + 1) / MAX_X_TICKS)
    return tuple(
        tick_at(_x_of(epoch, first, last) / WIDTH * 100, str(epoch), anchor="middle")
        for epoch in range(first, last + 1, stride)
    )


def _x_of(epoch: int, first: int, last: int) -> float:
    return WIDTH * (LEFT + (RIGHT - LEFT) * (epoch - first) / (last - first))
