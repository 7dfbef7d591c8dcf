"""Pieces of SVG: texts, lines, and the axes of charts."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from support.board_pictures.colors import BORDER, FAINT

FONTS = "Inter, DejaVu Sans Condensed, Helvetica, Arial, sans-serif"

FONT = 12
TICK_PIXELS = 45
"""Between two values at an axis, at least."""
LETTER = 6.4
"""How wide a letter is, about."""

TICK_SECONDS = (
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14_400,
    21_600,
    43_200,
    86_400,
)


def picture(width: float, height: float, *pieces: str) -> str:
    """Return an SVG."""
    inside = "".join(pieces)
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-size="{FONT}" font-family="{FONTS}">{inside}</svg>'
    )


def line(x1: float, y1: float, x2: float, y2: float, color: str, **more: object) -> str:
    """Return a straight line; an underscore in a name is a hyphen."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{_attributes(more)}/>'


def rect(x: float, y: float, width: float, height: float, color: str, **more: object) -> str:
    """Return a filled rectangle."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" '
        f'fill="{color}"{_attributes(more)}/>'
    )


def label(
    x: float, y: float, text: str, color: str = FAINT, anchor: str = "start", **more: object
) -> str:
    """Return a text whose base line is at y."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}"{_attributes(more)}>{escape(text)}</text>'


def circle(x: float, y: float, radius: float, color: str, **more: object) -> str:
    """Return a filled dot."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{color}"{_attributes(more)}/>'


def path(points: Sequence[tuple[float, float]], color: str, **more: object) -> str:
    """Return a line through points."""
    steps = "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<path d="M{steps}" fill="none" stroke="{color}"{_attributes(more)}/>'


def area(points: Sequence[tuple[float, float]], color: str, opacity: float) -> str:
    """Return a filled outline."""
    steps = "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<path d="M{steps}Z" fill="{color}" fill-opacity="{opacity:.2f}" stroke="none"/>'


def _attributes(more: dict[str, object]) -> str:
    return "".join(f' {name.replace("_", "-")}="{escape(str(v))}"' for name, v in more.items())


def cut(text: str, width: float) -> str:
    """Return a text, shortened to fit into a width."""
    room = max(int(width / LETTER), 1)
    return text if len(text) <= room else f"{text[: room - 1]}…"


@dataclass(frozen=True)
class Scale:
    """Where values lie on an axis."""

    low: float
    high: float
    start: float
    end: float
    """Pixels of the lowest and the highest value."""
    is_log: bool = False
    linear_to: float = 0
    """Symmetrically logarithmic: values are linear up to here, on both sides of 0, and logarithmic beyond; 0: they are not."""

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        share = self._share(value)
        return self.start + min(max(share, -0.02), 1.02) * (self.end - self.start)

    def _share(self, value: float) -> float:
        if self.is_log:
            if value <= 0:
                return -0.02
            return math.log(value / self.low) / (math.log(self.high / self.low) or 1)
        low, high = self._bent(self.low), self._bent(self.high)
        return (self._bent(value) - low) / ((high - low) or 1)

    def _bent(self, value: float) -> float:
        return math.asinh(value / self.linear_to) if self.linear_to else value

    def ticks(self, count: int) -> list[float]:
        """Return some round values between the lowest and the highest."""
        if self.is_log:
            return _log_ticks(self.low, self.high, count)
        if self.linear_to:
            return _symlog_ticks(self, count)
        step = _nice((self.high - self.low) / max(count, 1))
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _nice(rough: float) -> float:
    if rough <= 0:
        return 1
    power = 10 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    """Return powers of ten; with parts between them, or a few of them, so that there are about so many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    best: list[float] = []
    for parts in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
        best = [t for p in powers for t in (m * 10.0**p for m in parts) if low <= t <= high]
        if len(best) >= min(count, 3):
            break
    every = max(1, math.ceil(len(best) / max(count, 1)))
    return best[::every]


def _symlog_ticks(scale: Scale, count: int) -> list[float]:
    """Return 0 and powers of ten on its sides, as far as the scale has them."""
    above = _log_ticks(scale.linear_to, max(scale.high, scale.linear_to), count)
    below = _log_ticks(scale.linear_to, max(-scale.low, scale.linear_to), count)
    ticks = [*(-tick for tick in reversed(below)), 0.0, *above]
    return [tick for tick in ticks if scale.low <= tick <= scale.high]


def numeric_scale(
    numbers: Sequence[float],
    pixels: tuple[float, float],
    *,
    low: float | None = None,
    high: float | None = None,
    distribution: Mapping[str, Any] | None = None,
) -> Scale:
    """Return an axis for these numbers; `low` and `high`: its ends where the panel sets them."""
    least, most = min(numbers, default=0), max(numbers, default=1)
    kind, given = (distribution or {}).get("type"), distribution or {}
    if kind == "log":
        positive = [number for number in numbers if number > 0] or [1.0]
        bottom, top = min(positive), max(positive)
        return Scale(bottom / 1.15, max(top, bottom * 1.01) * 1.15, *pixels, is_log=True)
    if kind == "symlog":
        threshold = given.get("linearThreshold", 1)
        ends = (math.asinh(least / threshold), math.asinh(most / threshold))
        room = (ends[1] - ends[0]) * 0.06 or 0.1
        bottom, top = (threshold * math.sinh(end) for end in (ends[0] - room, ends[1] + room))
        return Scale(bottom, top, *pixels, linear_to=threshold)
    margin = (most - least) * 0.06 or abs(most) * 0.1 or 1
    bottom = low if low is not None else least - margin
    top = high if high is not None else most + margin
    return Scale(bottom, top if top > bottom else bottom + 1, *pixels)


def time_axis(times: Scale, top: float, bottom: float) -> str:
    """Return the grid lines of a time axis, and the times below."""
    seconds = times.high - times.low
    room = max((times.end - times.start) / 90, 1)
    step = next((s for s in TICK_SECONDS if seconds / s <= room), TICK_SECONDS[-1])
    form = "%H:%M:%S" if step < 60 else "%H:%M" if seconds < 2 * 86_400 else "%m-%d %H:%M"
    first = math.ceil(times.low / step)
    pieces = []
    for count in range(first, int(times.high // step) + 1):
        x = times(count * step)
        pieces.append(line(x, top, x, bottom, BORDER, stroke_width=0.7))
        text = time.strftime(form, time.gmtime(count * step))
        if times.start + 14 < x < times.end - 10:
            pieces.append(label(x, bottom + 16, text, anchor="middle"))
    return "".join(pieces)


def value_axis(
    values: Scale,
    left: float,
    right: float,
    text_of: Callable[[float], str],
    *,
    at_right: bool = False,
) -> str:
    """Return the grid lines of an axis of values, and the values beside it."""
    pieces = []
    for tick in values.ticks(max(int(abs(values.end - values.start) / TICK_PIXELS), 2)):
        y = values(tick)
        if not at_right:
            pieces.append(line(left, y, right, y, BORDER, stroke_width=0.7))
        x, anchor = (right + 6, "start") if at_right else (left - 6, "end")
        pieces.append(label(x, y + 4, text_of(tick), anchor=anchor))
    return "".join(pieces)
