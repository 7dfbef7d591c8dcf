"""Lay out curves as the points and places of an SVG."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bridge.web.charts.scale import Scale

WIDTH = 1000.0
"""Shapes are stretched from this width to whatever the page has; texts are placed in percent."""

TICKS = 6

HIGHEST = 1e300
"""Beyond this, sums and differences of finite numbers stop being finite."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis: percent across, or pixels down."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """One bin of a curve, as tall as the picture: where the pointer learns and the click leads."""

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

    @property
    def place(self) -> str:
        """The batch of its highest value, as links write it."""
        return f"{self.epoch}-{self.batch}"


@dataclass(frozen=True, slots=True)
class Line:
    """A named line, broken where there is nothing to draw."""

    name: str
    style: str
    pieces: tuple[str, ...]
    dots: tuple[tuple[float, float], ...] = ()
    last: float = math.nan


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of one or more curves over a shared axis."""

    height: int
    bands: tuple[str, ...]
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    spikes: tuple[Column, ...]
    gaps: tuple[Column, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[tuple[float, float], ...]
    is_log: bool


def y_ticks(scale: Scale, height: int) -> tuple[tuple[float, float], ...]:
    """Return (pixels down, value) of each label that fits."""
    ticks = ((y_of(scale, value, height), value) for value in scale.ticks())
    return tuple((place, value) for place, value in ticks if 14 <= place <= height - 2)


def y_of(scale: Scale, value: float, height: int) -> float:
    """Return how many pixels down a value is drawn."""
    return round(height - 3 - (height - 6) * min(1.0, max(0.0, scale.place(value))), 2)


def svg_points(places: Iterable[tuple[float, float]]) -> str:
    """Return the `points` attribute of an SVG shape."""
    return " ".join(f"{x:.1f},{y:g}" for x, y in places)
