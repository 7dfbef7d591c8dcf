"""Tables, whose cells may be bars, colours or pictures."""

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from support.board_pictures import colors
from support.board_pictures.fields import share_of, shown
from support.board_pictures.frames import Field, Frame
from support.board_pictures.timelines import nothing
from support.board_pictures.timeseries import Picture

Json = dict[str, Any]

HEIGHTS = {"sm": 36, "md": 42, "lg": 48, "auto": 36}
"""Of a row, by the size of its cells."""

PictureOf = Callable[[str], str]
"""Returns the address of a picture as the page can show it."""


def table(panel: Json, frames: Sequence[Frame], picture: Picture, picture_of: PictureOf) -> str:
    """Return the rows of the first frame, as sorted as the panel has them at first."""
    options = panel.get("options", {})
    if not frames or not len(frames[0]):
        return nothing(picture)
    frame = frames[0]
    columns = [one for one in frame.fields if not one.config.get("custom", {}).get("hidden")]
    rows = _sorted_rows(frame, options.get("sortBy") or [])
    height = HEIGHTS[options.get("cellHeight", "sm")]
    heads = "".join(
        f'<th style="{_width(one)}{_align(one)}">{escape(one.title)}</th>' for one in columns
    )
    head = f"<tr>{heads}</tr>" if options.get("showHeader", True) else ""
    body = "".join(
        f'<tr style="height:{height}px">{"".join(_cell(frame, one, row, picture, picture_of) for one in columns)}</tr>'
        for row in rows
    )
    return f'<div class="table" style="height:{picture.height:.0f}px"><table>{head}{body}</table></div>'


def _sorted_rows(frame: Frame, sort_by: Sequence[Json]) -> list[int]:
    rows = list(range(len(frame)))
    for one in reversed(sort_by):
        key = frame.named(one["displayName"])
        if key is not None:
            rows.sort(
                key=lambda row, k=key: (_has(k, row), k.values[row] if _has(k, row) else 0),
                reverse=bool(one.get("desc")),
            )
    return rows


def _has(one: Field, row: int) -> bool:
    return one.values[row] is not None and one.values[row] == one.values[row]


def _width(one: Field) -> str:
    custom = one.config.get("custom", {})
    if custom.get("width"):
        return f"width:{custom['width']}px;"
    return f"min-width:{custom['minWidth']}px;" if custom.get("minWidth") else ""


def _align(one: Field) -> str:
    align = one.config.get("custom", {}).get("align", "auto")
    if align == "auto":
        align = "right" if one.kind == "number" else "left"
    return f"text-align:{align};"


def _cell(frame: Frame, one: Field, row: int, picture: Picture, picture_of: PictureOf) -> str:
    value = one.values[row]
    text, color = shown(one, value)
    options = one.config.get("custom", {}).get("cellOptions", {})
    link = picture.link_of(frame, one, row)
    inside, style = CELLS.get(options.get("type", "auto"), _plain)(one, value, text, color, options)
    if options.get("type") == "image" and value:
        inside = f'<img src="{escape(picture_of(str(value)))}" alt="{escape(text)}" style="max-height:40px">'
    if link:
        inside = f'<a href="{escape(link)}" target="_blank">{inside}</a>'
    return f'<td style="{_align(one)}{style}">{inside}</td>'


def _plain(_one: Field, _value: Any, text: str, _color: str, _options: Json) -> tuple[str, str]:
    return escape(text), ""


def _colored(_one: Field, _value: Any, text: str, color: str, _options: Json) -> tuple[str, str]:
    return escape(text), f"color:{color};"


def _on_color(_one: Field, value: Any, text: str, color: str, _options: Json) -> tuple[str, str]:
    if value in (None, "") or color == colors.TEXT:
        return escape(text), ""
    return escape(text), f"background:{color};color:{_readable(color)};"


def _readable(color: str) -> str:
    """Return black on light colours, and white on dark ones."""
    if not re.fullmatch("#[0-9a-fA-F]{6}", color):
        return colors.TEXT
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#111217" if red * 0.299 + green * 0.587 + blue * 0.114 > 140 else "#ffffff"


def _bar(one: Field, value: Any, text: str, color: str, options: Json) -> tuple[str, str]:
    share = share_of(one, value)
    if share is None:
        return escape(text), ""
    shown_text = (
        "" if options.get("valueDisplayMode") == "hidden" else f"<span>{escape(text)}</span>"
    )
    width = 100 * min(max(share, 0), 1)
    return (
        f'<div class="bar"><div><i style="width:{width:.1f}%;background:{color}"></i></div>{shown_text}</div>',
        "",
    )


CELLS: dict[str, Callable[[Field, Any, str, str, Json], tuple[str, str]]] = {
    "auto": _plain,
    "color-text": _colored,
    "color-background": _on_color,
    "gauge": _bar,
    "image": _plain,
    "data-links": _plain,
    "json-view": _plain,
    "pill": _on_color,
    "markdown": lambda _one, _value, text, _color, _options: (text, ""),
}
