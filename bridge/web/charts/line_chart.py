"""A line chart as the shapes and labels of an SVG."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bridge.web.charts.scale import Scale

WIDTH = 1000.0
"""Shapes are stretched from this width to that of the page; labels are placed in percent."""

MAX_X_TICKS = 6

LARGEST = 1e300
"""Beyond this, sums and differences of finite numbers stop being finite."""

RIGHT_EDGE = 90.0
"""From here on, in percent of the width, a label stands to the left of its place."""

MARGIN = 3
LABEL_HEIGHT = 14
"""A label stands above its line, and needs this much room."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on the x axis, in percent of the width."""

    place: float
    text: str
    anchor: str = "start"
    """Which part of the text is there, as in SVG."""


@dataclass(frozen=True, slots=True)
class Column:
    """One bin of a curve, as tall as the chart: it shows a tooltip and links to its images."""

    x: float
    width: float
    start: float
    mean: float
    high: float
    nonfinite: int
    epoch: int
    batch: int
    y: float
    """Of its highest value, in pixels."""
    attempt: int | None = None
    """Which attempt it is of; None: there is only one."""

    @property
    def place(self) -> str:
        """The batch of its highest value, as links write it."""
        return f"{self.epoch}-{self.batch}"


@dataclass(frozen=True, slots=True)
class Line:
    """A named line, interrupted where there is nothing to draw."""

    name: str
    style: str
    pieces: tuple[str, ...]
    dots: tuple[tuple[float, float], ...] = ()
    last: float = math.nan


@dataclass(frozen=True, slots=True)
class Chart:
    """One or more lines over a shared axis."""

    height: int
    is_log: bool
    lines: tuple[Line, ...]
    bands: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    spikes: tuple[Column, ...] = ()
    gaps: tuple[Column, ...] = ()
    faint: tuple[str, ...] = ()
    """Pieces of lines below the others: what no longer counts."""
    marks: tuple[Tick, ...] = ()
    """Where something began."""
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[tuple[float, float], ...] = ()


def tick_at(place: float, text: str, *, anchor: str) -> Tick:
    """Return a label on the x axis; one near the right edge ends there, so that it does not stick out."""
    return Tick(round(place, 3), text, "end" if place > RIGHT_EDGE else anchor)


def y_ticks(scale: Scale, height: int) -> tuple[tuple[float, float], ...]:
    """Return (pixels from the top, value) of each label that has room."""
    ticks = ((y_of(scale, value, height), value) for value in scale.ticks())
    return tuple((y, value) for y, value in ticks if LABEL_HEIGHT <= y <= height - 2)


def y_of(scale: Scale, value: float, height: int) -> float:
    """Return how many pixels from the top a value is drawn."""
    share = min(1.0, max(0.0, scale.place(value)))
    return round(height - MARGIN - (height - 2 * MARGIN) * share, 2)


def svg_points(points: Iterable[tuple[float, float]]) -> str:
    """Return the `points` attribute of an SVG shape."""
    return " ".join(f"{x:.1f},{y:g}" for x, y in points)
