"""Charts whose horizontal axis is not time: XY, trend, bars by name."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from support.board_pictures import colors, svg
from support.board_pictures.fields import bounds, color_of, shown, tick_text
from support.board_pictures.frames import Field, Frame
from support.board_pictures.timelines import nothing
from support.board_pictures.timeseries import Picture

Json = dict[str, Any]
Curve = tuple[str, Field, Field]
"""Its name, x and y."""


def xy_chart(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return points, or lines, of one number over another."""
    return _drawn(_curves(panel, frames), picture, "points")


def trend(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return lines over the one field that all have as their x."""
    x = frames[0].named(panel["options"].get("xField", "")) if frames else None
    if x is None:
        return nothing(picture)
    curves = [(one.title, x, one) for one in frames[0].of_kind("number") if one.title != x.title]
    return _drawn(curves, picture, "lines")


def _drawn(curves: Sequence[Curve], picture: Picture, usual: str) -> str:
    pairs = [_pairs(x, y) for _, x, y in curves]
    if not any(pairs):
        return nothing(picture)
    bottom = picture.height - 44
    all_pairs = [pair for one in pairs for pair in one]
    distribution = curves[0][2].config.get("custom", {}).get("scaleDistribution")
    y = svg.numeric_scale([p[1] for p in all_pairs], (bottom, 6), distribution=distribution)
    ticks = y.ticks(max(int(bottom / svg.TICK_PIXELS), 2)) or [0]
    y_text = tick_text(curves[0][2], ticks)
    left = 16 + max(len(y_text(tick)) for tick in ticks) * svg.LETTER
    x = svg.numeric_scale([p[0] for p in all_pairs], (left, picture.width - 10))
    pieces = [svg.value_axis(y, left, picture.width - 10, y_text)]
    pieces += [
        svg.label(x(tick), bottom + 16, shown(curves[0][1], tick).text, anchor="middle")
        for tick in x.ticks(int(picture.width / 90))
    ]
    for place, (one, (_, _, field)) in enumerate(zip(pairs, curves, strict=True)):
        pieces.append(
            _curve(
                one,
                x,
                y,
                _color(field, place),
                field.config.get("custom", {}).get("show", usual),
            )
        )
    legend = "".join(
        f'<span class="key"><i style="background:{_color(field, place)}"></i>{escape(name)}</span>'
        for place, (name, _, field) in enumerate(curves)
    )
    chart = svg.picture(picture.width, picture.height - 22, *pieces)
    return f'<div class="chart" style="flex-direction:column">{chart}<div class="legend">{legend}</div></div>'


def _color(field: Field, place: int) -> str:
    is_palette = field.config.get("color", {}).get("mode", "").startswith("palette")
    return colors.of_series(place) if is_palette else color_of(field)


def _curves(panel: Json, frames: Sequence[Frame]) -> list[Curve]:
    options = panel.get("options", {})
    wanted = options.get("series") or []
    found: list[Curve] = []
    for place, frame in enumerate(frames):
        numbers = frame.of_kind("number")
        mapping = wanted[min(place, len(wanted) - 1)] if wanted else {}
        x = _chosen(frame, mapping.get("x")) or (numbers[0] if numbers else None)
        chosen = _chosen(frame, mapping.get("y"))
        ys = [chosen] if chosen else numbers
        found += [(y.title, x, y) for y in ys if x is not None and y is not x]
    return found


def _chosen(frame: Frame, matcher: Json | None) -> Field | None:
    options = ((matcher or {}).get("matcher") or {}).get("options")
    return frame.named(options) if isinstance(options, str) else None


def _pairs(x: Field, y: Field) -> list[tuple[float, float]]:
    pairs = zip(x.values, y.values, strict=True)
    return sorted(
        (a, b)
        for a, b in pairs
        if isinstance(a, int | float)
        and isinstance(b, int | float)
        and math.isfinite(a)
        and math.isfinite(b)
    )


def _curve(
    pairs: Sequence[tuple[float, float]], x: svg.Scale, y: svg.Scale, color: str, show: str
) -> str:
    pixels = [(x(a), y(b)) for a, b in pairs]
    line = svg.path(pixels, color, stroke_width=1) if "lines" in show and pixels else ""
    dots = [svg.circle(a, b, 2.5, color) for a, b in pixels if "points" in show]
    return line + "".join(dots)


def bar_chart(_panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return groups of bars, one group a row of the first frame."""
    texts = frames[0].of_kind("string", "time") if frames else []
    numbers = frames[0].of_kind("number") if frames else []
    if not texts or not numbers:
        return nothing(picture)
    low, high = bounds(numbers)
    bottom = picture.height - 22
    y = svg.numeric_scale([low, high], (bottom, 6), low=min(low, 0), high=high or 1)
    left, names = 60, [shown(texts[0], value).text for value in texts[0].values]
    wide = (picture.width - left - 8) / max(len(names), 1)
    pieces = [svg.value_axis(y, left, picture.width - 8, lambda v: shown(numbers[0], v).text)]
    for row, name in enumerate(names):
        x = left + row * wide
        pieces.append(svg.label(x + wide / 2, bottom + 16, svg.cut(name, wide), anchor="middle"))
        pieces += _bars(numbers, row, svg.Scale(0, 1, x + wide * 0.1, x + wide * 0.9), y, bottom)
    return svg.picture(picture.width, picture.height, *pieces)


def _bars(
    numbers: Sequence[Field], row: int, x: svg.Scale, y: svg.Scale, bottom: float
) -> list[str]:
    bar = (x.end - x.start) / len(numbers)
    return [
        svg.rect(x.start + place * bar, y(value), bar - 1, bottom - y(value), _color(one, place))
        for place, one in enumerate(numbers)
        if isinstance(value := one.values[row], int | float) and math.isfinite(value)
    ]
