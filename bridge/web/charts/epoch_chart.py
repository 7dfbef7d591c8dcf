"""Lay out curves with one value for each epoch."""

import math
from collections.abc import Sequence

from bridge.web.charts.line_chart import (
    HIGHEST,
    TICKS,
    WIDTH,
    Chart,
    Line,
    Tick,
    svg_points,
    y_of,
    y_ticks,
)
from bridge.web.charts.loss_chart import SPARK_POINTS
from bridge.web.charts.scale import Scale, scale_of

Series = tuple[str, str, Sequence[float | None]]
"""Name, style and values of a curve."""


def epoch_chart(
    numbers: Sequence[int],
    series: Sequence[Series],
    *,
    height: int = 190,
) -> Chart | None:
    """Draw one dot an epoch for each (name, style, values)."""
    drawn = [_numbered(numbers, values) for _, _, values in series]
    if not any(drawn):
        return None
    scale = scale_of(value for points in drawn for _, value in points)
    first, last = numbers[0], max(numbers[-1], numbers[0] + 1)
    lines = tuple(
        _line(name, style, points, (first, last), scale, height)
        for (name, style, _), points in zip(series, drawn, strict=True)
        if points
    )
    ticks = _number_ticks(first, last)
    return Chart(
        height, (), lines, (), (), (), ticks, y_ticks(scale, height), scale.is_log
    )  # fmt: skip


def _number_ticks(first: int, last: int) -> tuple[Tick, ...]:
    stride = math.ceil((last - first + 1) / TICKS)
    return tuple(
        Tick(round(_across(number, first, last) / WIDTH * 100, 3), str(number))
        for number in range(first, last + 1, stride)
    )


def _numbered(numbers: Sequence[int], values: Sequence[float | None]) -> list[tuple[int, float]]:
    return [
        (number, value)
        for number, value in zip(numbers, values, strict=True)
        if value is not None and abs(value) < HIGHEST
    ]


def _line(
    name: str,
    style: str,
    points: Sequence[tuple[int, float]],
    span: tuple[int, int],
    scale: Scale,
    height: int,
) -> Line:
    places = [(_across(number, *span), y_of(scale, value, height)) for number, value in points]
    few = places if len(places) <= SPARK_POINTS else places[-1:]
    dots = tuple((round(x / WIDTH * 100, 3), y) for x, y in few)
    return Line(name, style, (svg_points(places),), dots, points[-1][1])


def _across(number: int, first: int, last: int) -> float:
    """Place an epoch, with room for its dot and its label at both ends."""
    return WIDTH * (0.09 + 0.87 * (number - first) / (last - first))
