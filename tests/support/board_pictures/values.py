"""Panels of single values: stat, gauge, bars, pies."""

import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from support.board_pictures import colors, svg
from support.board_pictures.fields import bounds, reduced, share_of, shown
from support.board_pictures.frames import Field, Frame
from support.board_pictures.timelines import nothing
from support.board_pictures.timeseries import Picture

Json = dict[str, Any]
Value = tuple[str, Any, Field]
"""Its name, the value, and the field that it is of."""


def _values(panel: Json, frames: Sequence[Frame]) -> list[Value]:
    """Return what is shown: each field reduced to one value, or every row of it."""
    options = panel.get("options", {}).get("reduceOptions", {})
    pattern = (options.get("fields") or "").strip("/")
    [calculation] = options.get("calcs", ["lastNotNull"])[:1]
    found: list[Value] = []
    for frame in frames:
        wanted = frame.fields if pattern else frame.of_kind("number")
        for one in wanted:
            if pattern and not re.search(pattern, one.title):
                continue
            if options.get("values"):
                names = frame.of_kind("string")
                texts = names[0].values if names else [one.title] * len(frame)
                found += [(str(t), v, one) for t, v in zip(texts, one.values, strict=True)]
            else:
                found.append((one.title, reduced(one, calculation), one))
    return found[: options.get("limit", 50)]


def stat(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return large numbers, side by side."""
    values = _values(panel, frames)
    if not values:
        no_value = panel["fieldConfig"]["defaults"].get("noValue") or "No data"
        return f'<div class="stats"><div class="stat"><b style="font-size:22px">{escape(no_value)}</b></div></div>'
    options = panel.get("options", {})
    is_wide = options.get("orientation") == "vertical" or (
        options.get("orientation", "auto") == "auto" and picture.width > picture.height * 1.2
    )
    columns = len(values) if is_wide or options.get("orientation") == "vertical" else 1
    columns = min(columns, max(int(picture.width // 90), 1))
    rows = math.ceil(len(values) / columns)
    size = (picture.width / columns, picture.height / rows)
    panel = _with_names(panel) if len(values) > 1 else panel
    tiles = "".join(_tile(panel, frames, value, size) for value in values)
    return f'<div class="stats" style="grid-template-columns:repeat({columns},1fr)">{tiles}</div>'


def _with_names(panel: Json) -> Json:
    """Return a panel whose values show their names, too, unless it says what it shows."""
    options = panel.get("options", {})
    mode = options.get("textMode", "auto")
    return {
        **panel,
        "options": {**options, "textMode": "value_and_name" if mode == "auto" else mode},
    }


def _tile(panel: Json, frames: Sequence[Frame], value: Value, size: tuple[float, float]) -> str:
    options = panel.get("options", {})
    name, number, one = value
    text, color = shown(one, number)
    mode = options.get("textMode", "auto")
    has_name = "name" in mode
    letters = max(len(text), 3)
    font = max(
        min(
            (size[0] - 16) / letters * 1.7,
            size[1] * (0.45 if has_name or options.get("graphMode") == "area" else 0.62),
            64,
        ),
        12,
    )
    is_background = options.get("colorMode", "value").startswith("background")
    style = f"background:{color};color:#fff" if is_background else f"color:{color}"
    if options.get("colorMode") == "none":
        style = f"color:{colors.TEXT}"
    spark = _spark(frames, one, size, color) if options.get("graphMode") == "area" else ""
    words = f"<span>{escape(name)}</span>" if has_name else ""
    number_text = "" if mode == "name" else f'<b style="font-size:{font:.0f}px">{escape(text)}</b>'
    style += ";padding-bottom:22px" if spark else ""
    return f'<div class="stat" style="{style}">{spark}{words}{number_text}</div>'


def _spark(frames: Sequence[Frame], one: Field, size: tuple[float, float], color: str) -> str:
    times = next((f.of_kind("time") for f in frames if one in f.fields), [])
    points = [
        (at, v)
        for at, v in zip(times[0].values if times else (), one.values, strict=False)
        if math.isfinite(v)
    ]
    if len(points) < 3:
        return ""
    low, high = bounds([one])
    x = svg.Scale(points[0][0], points[-1][0], 0, size[0])
    y = svg.Scale(low, high if high > low else low + 1, size[1] - 2, size[1] * 0.62)
    pixels = [(x(at), y(v)) for at, v in points]
    foot = [(size[0], size[1]), (0, size[1])]
    inside = svg.area([*pixels, *foot], color, 0.15) + svg.path(pixels, color, stroke_width=1)
    return f'<div class="spark">{svg.picture(*size, inside)}</div>'


def bar_gauge(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return bars, one a value."""
    values = _values(panel, frames)
    if not values:
        return nothing(picture)
    low, high = bounds([one for _, _, one in values])
    if panel.get("options", {}).get("orientation") == "vertical":
        return _columns(values, low, high, picture)
    longest = max(len(name) for name, _, _ in values)
    names = min(longest * svg.LETTER + 12, picture.width * 0.4) if longest else 0
    texts = [shown(one, number) for _, number, one in values]
    room = max(len(text) for text, _ in texts) * 8 + 16
    height = min(picture.height / len(values), 46)
    pieces = []
    for place, ((name, number, _), (text, color)) in enumerate(zip(values, texts, strict=True)):
        y = place * height + 3
        full = picture.width - names - room
        share = (number - low) / ((high - low) or 1) if isinstance(number, int | float) else 0
        pieces += [
            svg.label(0, y + height / 2 + 2, svg.cut(name, names), colors.TEXT),
            svg.rect(names, y, full, height - 6, colors.BORDER, fill_opacity=0.6, rx=2),
            svg.rect(
                names, y, full * min(max(share, 0), 1), height - 6, color, fill_opacity=0.75, rx=2
            ),
            svg.label(names + full + 8, y + height / 2 + 2, text, color, font_size=14),
        ]
    return svg.picture(picture.width, max(picture.height, len(values) * height), *pieces)


def _columns(values: Sequence[Value], low: float, high: float, picture: Picture) -> str:
    wide = picture.width / len(values)
    bottom = picture.height - 20
    pieces = []
    for place, (name, number, one) in enumerate(values):
        text, color = shown(one, number)
        share = (number - low) / ((high - low) or 1) if isinstance(number, int | float) else 0
        tall = (bottom - 24) * min(max(share, 0), 1)
        middle = (place + 0.5) * wide
        pieces += [
            svg.rect(
                place * wide + 4, bottom - tall, wide - 8, tall, color, fill_opacity=0.75, rx=2
            ),
            svg.label(middle, bottom - tall - 6, text, color, "middle"),
            svg.label(middle, picture.height - 4, svg.cut(name, wide), anchor="middle"),
        ]
    return svg.picture(picture.width, picture.height, *pieces)


def gauge(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return arcs, one a value."""
    values = _values(panel, frames)
    if not values:
        return nothing(picture)
    wide = picture.width / len(values)
    pieces = []
    for place, (name, number, one) in enumerate(values):
        text, color = shown(one, number)
        x, y = (place + 0.5) * wide, picture.height * 0.66
        radius = max(min(wide * 0.4, picture.height * 0.55), 10)
        pieces.append(_arc(x, y, radius, 1, colors.BORDER))
        pieces.append(_arc(x, y, radius, min(max(share_of(one, number) or 0, 0.001), 1), color))
        pieces.append(svg.label(x, y, text, color, "middle", font_size=min(radius / 2.2, 34)))
        if len(values) > 1:
            pieces.append(svg.label(x, y + 22, svg.cut(name, wide), anchor="middle"))
    return svg.picture(picture.width, picture.height, *pieces)


def _arc(x: float, y: float, radius: float, share: float, color: str) -> str:
    start, end = math.radians(200), math.radians(200 - 220 * share)
    x1, y1 = x + radius * math.cos(start), y - radius * math.sin(start)
    x2, y2 = x + radius * math.cos(end), y - radius * math.sin(end)
    is_large = 1 if 220 * share > 180 else 0
    return (
        f'<path d="M{x1:.1f},{y1:.1f}A{radius:.1f},{radius:.1f} 0 {is_large} 1 {x2:.1f},{y2:.1f}" fill="none" '
        f'stroke="{color}" stroke-width="{radius * 0.22:.1f}"/>'
    )


def pie(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return the shares of a whole, with their names beside."""
    values = [v for v in _values(panel, frames) if isinstance(v[1], int | float) and v[1] > 0]
    total = sum(number for _, number, _ in values)
    if not total:
        return nothing(picture)
    radius = min(picture.height, picture.width * 0.5) / 2 - 6
    around, done, pieces = 2 * math.pi * radius / 2, 0.0, []
    for place, (name, number, one) in enumerate(values):
        text, color = shown(one, number)
        share = number / total
        pieces.append(
            f'<circle cx="{radius + 6:.1f}" cy="{picture.height / 2:.1f}" r="{radius / 2:.1f}" fill="none" stroke="{color}" '
            f'stroke-width="{radius:.1f}" stroke-dasharray="{share * around:.2f} {around:.2f}" '
            f'stroke-dashoffset="{-done * around:.2f}"/>'
        )
        y = 16 + place * 18
        pieces.append(svg.rect(2 * radius + 24, y - 9, 12, 10, color))
        pieces.append(svg.label(2 * radius + 42, y, f"{name}  {text}", colors.TEXT))
        done += share
    return svg.picture(picture.width, picture.height, *pieces)
