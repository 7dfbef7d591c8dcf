"""Charts over time, as Grafana's panel of that name draws them."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any

from support.board_pictures import colors, svg
from support.board_pictures.fields import CALCULATIONS, color_of, reduced, shown, tick_text
from support.board_pictures.frames import Field, Frame
from support.board_pictures.questions import Exemplar, Mark

Json = dict[str, Any]
Points = list[tuple[float, float]]

LEGEND_ROW = 18

TIME_HEIGHT = 24

SPAN_OF_STEPS = 1.6
"""A line is broken where the next point is more than so many steps away, unless the panel bridges gaps."""


@dataclass(frozen=True)
class Picture:
    """What a chart is drawn from, beside its panel."""

    width: float
    height: float
    start: float
    end: float
    step: float
    marks: Sequence[Mark] = ()
    exemplars: Sequence[Exemplar] = ()
    link_of: Callable[[Frame, Field, int], str] = field(default=lambda *_: "")
    """The first link of a value, expanded; "" where there is none."""


@dataclass(frozen=True)
class Line:
    """One series, in numbers."""

    frame: Frame
    values: Field
    points: Points
    base: Points
    """Where its area ends below; nothing unless it is stacked."""

    @property
    def custom(self) -> Json:
        """How it is drawn."""
        return self.values.config.get("custom", {})

    @property
    def is_right(self) -> bool:
        """Whether its axis is at the right."""
        return self.custom.get("axisPlacement") == "right"


def drawn(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return the chart and its legend."""
    lines = _lines(frames)
    legend = _legend(panel.get("options", {}).get("legend", {}), lines, picture)
    at_side = panel.get("options", {}).get("legend", {}).get("placement") == "right"
    height = picture.height if at_side else picture.height - legend[1]
    width = picture.width - (legend[1] if at_side else 0)
    chart = _chart(panel, lines, picture, width, height)
    direction = "row" if at_side else "column"
    return f'<div class="chart" style="flex-direction:{direction}">{chart}{legend[0]}</div>'


def _lines(frames: Sequence[Frame]) -> list[Line]:
    found: list[Line] = []
    sums: dict[tuple[str, float], float] = defaultdict(float)
    for frame in frames:
        for one in frame.of_kind("number"):
            custom = one.config.get("custom", {})
            hidden = custom.get("hideFrom") or {}
            if hidden.get("viz"):
                continue
            [times] = frame.of_kind("time")
            points = [
                (at, value)
                for at, value in zip(times.values, one.values, strict=True)
                if isinstance(value, int | float) and math.isfinite(value)
            ]
            base: Points = []
            if custom.get("stacking", {}).get("mode", "none") != "none":
                group = custom["stacking"].get("group", "A")
                base = [(at, sums[group, at]) for at, _ in points]
                points = [(at, value + sums[group, at]) for at, value in points]
                sums |= {(group, at): value for at, value in points}
            found.append(Line(frame, one, points, base))
    return _in_percent(found)


def _in_percent(lines: list[Line]) -> list[Line]:
    stacked = [one for one in lines if one.custom.get("stacking", {}).get("mode") == "percent"]
    tops: dict[float, float] = {}
    for one in stacked:
        tops |= dict(one.points)

    def share(points: Points) -> Points:
        return [(at, value / tops[at] if tops[at] else 0) for at, value in points]

    return [
        Line(one.frame, one.values, share(one.points), share(one.base)) if one in stacked else one
        for one in lines
    ]


def _chart(
    panel: Json, lines: Sequence[Line], picture: Picture, width: float, height: float
) -> str:
    top, bottom = 6, height - TIME_HEIGHT
    sides = {
        is_right: _axis(panel, [one for one in lines if one.is_right is is_right], (bottom, top))
        for is_right in (False, True)
    }
    left = _room(sides[False])
    right = width - (_room(sides[True]) if sides[True] else 8)
    times = svg.Scale(picture.start, picture.end, left, right)
    pieces = [svg.time_axis(times, top, bottom)]
    for is_right, side in sides.items():
        if side:
            pieces.append(svg.value_axis(side[0], left, right, side[1], at_right=is_right))
    first = sides[False] or sides[True]
    if first:
        pieces.append(_thresholds(panel, first[0], left, right))
    for one in lines:
        scale = (sides[one.is_right] or first)[0]
        pieces.append(_line(one, times, scale, picture, bottom))
    if first:
        pieces.append(_exemplars(picture.exemplars, times, first[0]))
    pieces.append(marks_drawn(picture.marks, times, top, bottom))
    if not lines:
        pieces.append(
            svg.label(
                (left + right) / 2, (top + bottom) / 2, "No data", anchor="middle", font_size=15
            )
        )
    return svg.picture(width, height, *pieces)


Side = tuple[svg.Scale, Callable[[float], str]]


def _axis(panel: Json, lines: Sequence[Line], pixels: tuple[float, float]) -> Side | None:
    if not lines:
        return None
    config = lines[0].values.config
    custom = lines[0].custom
    numbers = [value for one in lines for _, value in (*one.points, *one.base)]
    low, high = config.get("min"), config.get("max")
    if custom.get("stacking", {}).get("mode") == "percent":
        low, high, config = 0, 1, {**config, "unit": "percentunit"}
    low = min([*numbers, low]) if low is None and any(one.base for one in lines) else low
    scale = svg.numeric_scale(
        numbers, pixels, low=low, high=high, distribution=custom.get("scaleDistribution")
    )
    ticks = scale.ticks(max(int(abs(scale.end - scale.start) / svg.TICK_PIXELS), 2))
    return scale, tick_text(Field("", [], config=config), ticks)


def _room(side: Side | None) -> float:
    if not side:
        return 16
    longest = max((len(side[1](tick)) for tick in side[0].ticks(5)), default=2)
    return 16 + longest * svg.LETTER


def _thresholds(panel: Json, scale: svg.Scale, left: float, right: float) -> str:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    mode = defaults.get("custom", {}).get("thresholdsStyle", {}).get("mode", "off")
    if mode == "off":
        return ""
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is not None]
    pieces = []
    for step in steps:
        if scale.low <= step["value"] <= scale.high and step["color"] != "transparent":
            y = scale(step["value"])
            dashes = {"stroke_dasharray": "8 6"} if "dashed" in mode else {}
            pieces.append(svg.line(left, y, right, y, colors.color(step["color"]), **dashes))
    return "".join(pieces)


def _line(one: Line, times: svg.Scale, scale: svg.Scale, picture: Picture, bottom: float) -> str:
    custom, color = one.custom, color_of(one.values, reduced(one.values, "last"))
    opacity = (custom.get("fillOpacity") or 0) / 100
    style = custom.get("drawStyle", "line")
    pieces = []
    if style == "bars":
        wide = max((times(picture.start + picture.step) - times(picture.start)) * 0.7, 1.5)
        for place, (at, value) in enumerate(one.points):
            low = scale(one.base[place][1]) if one.base else min(scale(max(scale.low, 0)), bottom)
            y = scale(value)
            pieces.append(
                svg.rect(
                    times(at) - wide / 2,
                    min(y, low),
                    wide,
                    abs(low - y),
                    color,
                    fill_opacity=max(opacity, 0.6),
                )
            )
    dashes = (custom.get("lineStyle") or {}).get("dash")
    more: dict[str, object] = {"stroke_width": max(custom.get("lineWidth", 1), 0)}
    if dashes:
        more["stroke_dasharray"] = " ".join(map(str, dashes))
    for piece in _unbroken(one, picture.step):
        pixels = [(times(at), scale(value)) for at, value in piece]
        pixels = _stepped(pixels, custom.get("lineInterpolation", "linear"))
        if style == "line" and opacity:
            low = (
                [(times(at), scale(value)) for at, value in reversed(one.base)] if one.base else []
            )
            foot = low or [(pixels[-1][0], bottom), (pixels[0][0], bottom)]
            pieces.append(svg.area([*pixels, *foot], color, opacity))
        if style == "line":
            pieces.append(svg.path(pixels, color, **more))
    pieces.append(_dots(one, times, scale, picture, color))
    return "".join(pieces)


def _unbroken(one: Line, step: float) -> list[Points]:
    """Return the pieces of a line between its gaps."""
    spans = one.custom.get("spanNulls", False)
    limit = math.inf if spans is True else max(spans / 1000 if spans else 0, step * SPAN_OF_STEPS)
    pieces: list[Points] = []
    for point in one.points:
        if pieces and point[0] - pieces[-1][-1][0] <= limit:
            pieces[-1].append(point)
        else:
            pieces.append([point])
    return pieces


def _stepped(pixels: Points, interpolation: str) -> Points:
    if interpolation not in ("stepAfter", "stepBefore"):
        return pixels
    stepped = pixels[:1]
    for (x1, y1), (x2, y2) in pairwise(pixels):
        stepped += [(x2, y1) if interpolation == "stepAfter" else (x1, y2), (x2, y2)]
    return stepped


def _dots(one: Line, times: svg.Scale, scale: svg.Scale, picture: Picture, color: str) -> str:
    """Return the points of a line where they are shown, and where they lead somewhere."""
    mode = one.custom.get("showPoints", "auto")
    gap = (times.end - times.start) / max(len(one.points), 1)
    is_shown = mode == "always" or (mode == "auto" and gap > 12) or len(one.points) == 1
    size = one.custom.get("pointSize", 5) / 2
    rows = {at: row for row, at in enumerate(one.frame.of_kind("time")[0].values)}
    pieces = []
    for at, value in one.points:
        link = picture.link_of(one.frame, one.values, rows[at])
        if not is_shown and not link:
            continue
        more = {} if is_shown else {"fill_opacity": 0}
        dot = svg.circle(times(at), scale(value), size, color, **more)
        pieces.append(f'<a href="{escape(link)}" target="_blank">{dot}</a>' if link else dot)
    return "".join(pieces)


def _exemplars(exemplars: Sequence[Exemplar], times: svg.Scale, scale: svg.Scale) -> str:
    pieces = []
    for one in exemplars:
        x, y = times(one.at), scale(one.value)
        title = escape(", ".join(f"{k}={v}" for k, v in one.labels.items()))
        corners = f"{x:.1f},{y - 4:.1f} {x + 4:.1f},{y:.1f} {x:.1f},{y + 4:.1f} {x - 4:.1f},{y:.1f}"
        pieces.append(
            f'<polygon points="{corners}" fill="#5794F2" fill-opacity="0.8"><title>{title}</title></polygon>'
        )
    return "".join(pieces)


def marks_drawn(marks: Sequence[Mark], times: svg.Scale, top: float, bottom: float) -> str:
    """Return annotations as dashed lines with a foot to point at."""
    pieces = []
    for mark in marks:
        x, color = times(mark.at), colors.color(mark.color)
        pieces.append(svg.line(x, top, x, bottom, color, stroke_dasharray="4 4", stroke_width=1))
        feet = f"{x - 4:.1f},{bottom + 5:.1f} {x + 4:.1f},{bottom + 5:.1f} {x:.1f},{bottom:.1f}"
        pieces.append(
            f'<polygon points="{feet}" fill="{color}"><title>{escape(mark.text)}</title></polygon>'
        )
    return "".join(pieces)


def _legend(options: Json, lines: Sequence[Line], picture: Picture) -> tuple[str, float]:
    """Return the legend, and the height, or at the side the width, that it takes."""
    shown_lines = [one for one in lines if not (one.custom.get("hideFrom") or {}).get("legend")]
    if not options.get("showLegend", True) or not shown_lines:
        return "", 0
    at_side = options.get("placement") == "right"
    if options.get("displayMode") == "table":
        room = min(len(shown_lines) + 1, 5 if not at_side else 30) * (LEGEND_ROW + 2) + 4
        return _legend_table(options.get("calcs", []), shown_lines, room), 260 if at_side else room
    entries = "".join(
        f'<span class="key"><i style="background:{_color(one)}"></i>{escape(one.values.title)}{_calcs(options, one)}</span>'
        for one in shown_lines
    )
    letters = sum(len(one.values.title) + 5 for one in shown_lines) * svg.LETTER
    rows = 1 if at_side else min(math.ceil(letters / picture.width), 3)
    room = 170 if at_side else rows * LEGEND_ROW + 2
    style = f"width:{room}px" if at_side else f"height:{room}px"
    return f'<div class="legend" style="{style}">{entries}</div>', room


def _color(one: Line) -> str:
    return color_of(one.values, reduced(one.values, "last"))


def _calcs(options: Json, one: Line) -> str:
    calcs = options.get("calcs", [])
    texts = [
        f"{CALCULATIONS[c].title}: {shown(one.values, reduced(one.values, c)).text}" for c in calcs
    ]
    return f" <b>{escape('  '.join(texts))}</b>" if texts else ""


def _legend_table(calcs: Sequence[str], lines: Sequence[Line], height: float) -> str:
    heads = "".join(f"<th>{CALCULATIONS[calculation].title}</th>" for calculation in calcs)
    rows = []
    for one in lines:
        cells = "".join(
            f"<td>{escape(shown(one.values, reduced(one.values, c)).text)}</td>" for c in calcs
        )
        name = f'<td class="name"><i style="background:{_color(one)}"></i>{escape(one.values.title)}</td>'
        rows.append(f"<tr>{name}{cells}</tr>")
    return f'<div class="legend" style="height:{height}px"><table><tr><th class="name">Name</th>{heads}</tr>{"".join(rows)}</table></div>'
