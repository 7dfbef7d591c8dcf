"""A board as one page of HTML, in the board's own grid, which needs no server to be looked at."""

import base64
import re
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape, unescape
from typing import Any

from support.board_pictures import colors, points, svg, tables, timelines, timeseries, values
from support.board_pictures.fields import configured
from support.board_pictures.frames import Frame
from support.board_pictures.links import link_of
from support.board_pictures.questions import Mark, Questions
from support.board_pictures.repeats import repeated
from support.board_pictures.timeseries import Picture
from support.board_pictures.transformations import transformed
from support.prometheus_api import QuestionError

Json = dict[str, Any]

WIDTH = 1600
COLUMN = WIDTH / 24
ROW, GAP = 30, 8
"""Pixels of a row of the grid, and between two panels, as in Grafana."""

HEADER, PADDING = 34, 8

Drawing = Callable[[Json, Sequence[Frame], Picture], str]

DRAWINGS: Mapping[str, Drawing] = {
    "timeseries": timeseries.drawn,
    "stat": values.stat,
    "gauge": values.gauge,
    "bargauge": values.bar_gauge,
    "piechart": values.pie,
    "barchart": points.bar_chart,
    "xychart": points.xy_chart,
    "trend": points.trend,
    "state-timeline": timelines.state_timeline,
    "status-history": timelines.status_history,
    "heatmap": timelines.heatmap,
    "table": lambda panel, frames, picture: tables.table(panel, frames, picture, embedded),
}
"""By the type of a panel; text and row need no data, and have none of their own here."""

WITHOUT_DATA = ("text", "row")

STYLE = f"""
body {{ margin:0; background:{colors.BACKGROUND}; color:{colors.TEXT}; font:14px {svg.FONTS} }}
header {{ padding:12px 16px 4px; width:{WIDTH}px }} h1 {{ font-size:18px; font-weight:500; margin:0 }}
header p {{ color:{colors.FAINT}; margin:4px 0 8px }}
.variable {{ border:1px solid {colors.BORDER}; border-radius:2px; margin-right:8px; padding:4px 8px; background:{colors.PANEL} }}
.variable b {{ color:{colors.FAINT}; font-weight:500; margin-right:6px }}
main {{ position:relative; width:{WIDTH}px; margin:8px 8px 24px }}
section {{ position:absolute; box-sizing:border-box; background:{colors.PANEL}; border:1px solid {colors.BORDER}; border-radius:2px; overflow:hidden }}
section h2 {{ font-size:14px; font-weight:500; margin:0; height:{HEADER}px; line-height:{HEADER}px; padding:0 {PADDING}px; white-space:nowrap; overflow:hidden; text-overflow:ellipsis }}
section h2 abbr {{ color:{colors.FAINT}; text-decoration:none; border:1px solid {colors.FAINT}; border-radius:50%; font:italic 10px serif; padding:0 4px; margin-left:6px }}
section .content {{ padding:0 {PADDING}px; }} section.row {{ background:none; border:none; font-weight:500; padding:5px }}
.chart {{ display:flex }} .legend {{ overflow:hidden; font-size:12px; line-height:18px }}
.key {{ margin-right:14px; white-space:nowrap }} .key b {{ color:{colors.FAINT}; font-weight:400 }}
.key i, .legend td i {{ display:inline-block; width:14px; height:4px; border-radius:2px; margin-right:6px; vertical-align:middle }}
.legend table {{ width:100%; border-collapse:collapse }} .legend td, .legend th {{ text-align:right; font-weight:400; color:{colors.TEXT}; padding:1px 6px }}
.legend th {{ color:#6e9fff }} .legend .name {{ text-align:left }}
.stats {{ display:grid; height:100%; gap:4px }} .stat {{ position:relative; display:flex; flex-direction:column; align-items:center; justify-content:center; overflow:hidden; border-radius:3px }}
.stat b {{ font-weight:500; z-index:1 }} .stat span {{ z-index:1; color:{colors.TEXT} }} .spark {{ position:absolute; left:0; bottom:0 }}
.table {{ overflow:hidden }} .table table {{ border-collapse:collapse; width:100%; font-size:13px }}
.table th {{ color:#6e9fff; font-weight:500; text-align:left; padding:6px; border-bottom:1px solid {colors.BORDER}; white-space:nowrap }}
.table td {{ padding:2px 6px; border-bottom:1px solid {colors.BORDER}; border-right:1px solid {colors.BORDER}; white-space:nowrap }}
.bar {{ display:flex; align-items:center; gap:6px }} .bar div {{ flex:1; background:{colors.BORDER}; height:16px }} .bar i {{ display:block; height:16px }}
a {{ color:#6e9fff; text-decoration:none }} td[style*="color:"] a {{ color:inherit }} .trouble {{ color:#F2495C; white-space:pre-wrap; font-size:12px }} .text img {{ max-width:100% }}
""".replace("\n", "")  # fmt: skip  # a style sheet, which the formatter would not leave readable


def page(board: Json, questions: Questions, *, chosen: Mapping[str, str] | None = None) -> str:
    """Return the page; `chosen`: values of variables that are not to be the first that Prometheus offers."""
    asked = questions.with_variables(board, chosen or {})
    try:
        marks = asked.marks(board)
    except QuestionError as error:
        marks = [Mark(asked.window.end, "red", str(error))]
    panels = list(opened(repeated(board["panels"], lambda name: asked.chosen_of(board, name))))
    bottom = max((p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels), default=0)
    sections = "".join(_section(panel, asked.for_copy(panel), marks) for panel in panels)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(board["title"])}</title>'
        f"<style>{STYLE}</style><header><h1>{escape(board['title'])}</h1>"
        f"<p>{escape(board.get('description', ''))}</p>{_variables(board, asked)}</header>"
        f'<main style="height:{bottom * (ROW + GAP)}px">{sections}</main></html>\n'
    )


def opened(panels: Sequence[Json]) -> Iterator[Json]:
    """Yield all panels with those of closed rows below them, as if each row had been opened."""
    moved = 0
    for panel in panels:
        yield _lower(panel, moved)
        inside = panel.get("panels") or []
        for one in inside:
            yield _lower(one, moved)
        if inside:
            top = min(one["gridPos"]["y"] for one in inside)
            moved += max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in inside) - top


def _lower(panel: Json, rows: int) -> Json:
    return {**panel, "gridPos": {**panel["gridPos"], "y": panel["gridPos"]["y"] + rows}}


def _variables(board: Json, questions: Questions) -> str:
    shown = [v for v in board["templating"]["list"] if v.get("hide") != 2]
    texts = []
    for one in shown:
        choice = questions.scope.choices[one["name"]]
        text = "All" if choice.is_everything else " + ".join(choice.values)
        texts.append(
            f'<span class="variable"><b>{escape(one.get("label") or one["name"])}</b>{escape(text)}</span>'
        )
    return "".join(texts)


def _section(panel: Json, questions: Questions, marks: Sequence[Mark]) -> str:
    place = panel["gridPos"]
    box = (
        f"left:{place['x'] * COLUMN:.0f}px;top:{place['y'] * (ROW + GAP)}px;"
        f"width:{place['w'] * COLUMN - GAP:.0f}px;height:{place['h'] * (ROW + GAP) - GAP}px"
    )
    title = escape(questions.scope.text(panel.get("title", "")))
    if panel["type"] == "row":
        closed = " <small>(closed at first)</small>" if panel.get("collapsed") else ""
        return f'<section class="row" style="{box}">⌄ {title}{closed}</section>'
    info = (
        f'<abbr title="{escape(panel["description"])}">i</abbr>' if panel.get("description") else ""
    )
    heading = f"<h2>{title}{info}</h2>" if title else ""
    inside = place["h"] * (ROW + GAP) - GAP - (HEADER if title else PADDING) - PADDING
    content = f'<div class="content" style="height:{inside}px">{_content(panel, questions, marks, inside)}</div>'
    return f'<section style="{box}">{heading}{content}</section>'


def _content(panel: Json, questions: Questions, marks: Sequence[Mark], height: float) -> str:
    width = panel["gridPos"]["w"] * COLUMN - GAP - 2 * PADDING
    if panel["type"] == "text":
        return f'<div class="text">{_embedded_text(questions.scope.text(panel["options"]["content"]))}</div>'
    if panel["type"] not in DRAWINGS:
        return _trouble(f"no drawing for panels of type {panel['type']!r}: add it to DRAWINGS")
    kind = (panel.get("datasource") or {}).get("type", "prometheus")
    if kind != "prometheus":
        return _trouble(f"asks a data source of type {kind!r}, which is not asked here")
    asked = questions.for_panel(panel, int(width))
    try:
        frames = transformed(asked.frames(panel), panel.get("transformations", ()))
        frames = configured(frames, panel["fieldConfig"])
        picture = _picture(panel, asked, marks, (width, height))
        return DRAWINGS[panel["type"]](panel, frames, picture)
    except (QuestionError, ValueError) as error:
        return _trouble(str(error))


def _picture(
    panel: Json, asked: Questions, marks: Sequence[Mark], size: tuple[float, float]
) -> Picture:
    window = asked.window
    exemplars = asked.exemplars(panel) if panel["type"] in ("timeseries", "heatmap") else ()
    picture = Picture(*size, window.start, window.end, asked.scope.interval, marks, exemplars)
    return replace(picture, link_of=lambda frame, one, row: link_of(asked.scope, frame, one, row))


def _trouble(text: str) -> str:
    return f'<div class="trouble">{escape(text)}</div>'


def _embedded_text(html: str) -> str:
    return re.sub(
        r'(<img\b[^>]*\bsrc=")([^"]+)"',
        lambda m: f'{m[1]}{escape(embedded(unescape(m[2])))}"',
        html,
    )


def embedded(url: str) -> str:
    """Return a picture as part of the page, so that the page can be kept; as it is where it cannot be had."""
    if not url.startswith(("http://", "https://")):
        return url
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 -- http, as checked above
            kind = response.headers.get_content_type()
            return f"data:{kind};base64,{base64.b64encode(response.read()).decode()}"
    except OSError:
        return url
