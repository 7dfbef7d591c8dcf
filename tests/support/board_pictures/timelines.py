"""State timelines and heatmaps."""

import math
from collections.abc import Sequence
from typing import Any

from support.board_pictures import colors, svg
from support.board_pictures.fields import shown
from support.board_pictures.frames import Field, Frame
from support.board_pictures.timeseries import TIME_HEIGHT, Picture, marks_drawn

Json = dict[str, Any]
Segment = tuple[float, float, Any]


def state_timeline(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return one row a series, in which equal states that follow each other are one piece."""
    rows = [(frame, one) for frame in frames for one in frame.of_kind("number", "string")]
    if not rows:
        return nothing(picture)
    left = 28 + min(max(len(one.title) for _, one in rows) * svg.LETTER, picture.width * 0.25)
    states = _states(rows)
    bottom = picture.height - TIME_HEIGHT - 22
    times = svg.Scale(picture.start, picture.end, left, picture.width - 8)
    room = (bottom - 4) / len(rows)
    pieces = [svg.time_axis(times, 4, bottom)]
    share = panel.get("options", {}).get("rowHeight", 0.9)
    for place, (frame, one) in enumerate(rows):
        y, height = 4 + place * room + room * (1 - share) / 2, room * share
        name = svg.cut(one.title, left - 16)
        pieces.append(svg.label(left - 8, y + height / 2 + 4, name, anchor="end"))
        for start, end, value in _segments(frame, one, picture):
            pieces.append(_segment(one, value, times, (start, end), (y, height)))
    pieces.append(marks_drawn(picture.marks, times, 4, bottom))
    legend = "".join(
        f'<span class="key"><i style="background:{color}"></i>{text}</span>'
        for text, color in states.items()
    )
    chart = svg.picture(picture.width, picture.height - 22, *pieces)
    return f'<div class="chart" style="flex-direction:column">{chart}<div class="legend">{legend}</div></div>'


def _states(rows: Sequence[tuple[Frame, Field]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for _, one in rows:
        for value in one.values:
            if value is not None and not (isinstance(value, float) and math.isnan(value)):
                text, color = shown(one, value)
                found[text] = color
    return found


def _segments(frame: Frame, one: Field, picture: Picture) -> list[Segment]:
    [times] = frame.of_kind("time")
    known = list(zip(times.values, one.values, strict=True))
    spans = one.config.get("custom", {}).get("spanNulls", False)
    limit = math.inf if spans is True else max(spans / 1000 if spans else 0, picture.step * 1.6)
    found: list[Segment] = []
    for at, value in known:
        is_next = found and at - found[-1][1] <= limit
        if is_next and found[-1][2] == value:
            found[-1] = (found[-1][0], at, value)
        else:
            if is_next:
                found[-1] = (found[-1][0], at, found[-1][2])
            found.append((at, at + picture.step, value))
    return found


def _segment(
    one: Field, value: Any, times: svg.Scale, span: tuple[float, float], place: tuple[float, float]
) -> str:
    text, color = shown(one, value)
    x, end = times(span[0]), times(span[1])
    opacity = (one.config.get("custom", {}).get("fillOpacity", 70)) / 100
    piece = svg.rect(x, place[0], max(end - x, 1), place[1], color, fill_opacity=opacity)
    if end - x > len(text) * svg.LETTER + 8:
        piece += svg.label((x + end) / 2, place[0] + place[1] / 2 + 4, text, colors.TEXT, "middle")
    return piece


def heatmap(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return the counts of each bucket over time; the buckets of Prometheus hold those below them, too."""
    buckets = (
        sorted((_bound(one), frame, one) for frame in frames for one in frame.of_kind("number"))
        if frames
        else []
    )
    if not buckets:
        return nothing(picture)
    unit = (
        panel.get("options", {}).get("yAxis", {}).get("unit")
        or buckets[0][2].config.get("unit")
        or "none"
    )
    counts = _counts(panel, buckets)
    most = max((value for row in counts for value in row.values()), default=1) or 1
    left, bottom = 70, picture.height - TIME_HEIGHT
    times = svg.Scale(picture.start, picture.end, left, picture.width - 8)
    wide = times(picture.start + picture.step) - times(picture.start)
    room = (bottom - 4) / len(buckets)
    scheme = panel.get("options", {}).get("color", {}).get("scheme", "Oranges")
    exponent = panel.get("options", {}).get("color", {}).get("exponent", 0.5)
    pieces = [svg.time_axis(times, 4, bottom)]
    for place, row in enumerate(counts):
        y = bottom - (place + 1) * room
        for at, value in row.items():
            if value > 0:
                color = colors.between(colors.SCALES[scheme], (value / most) ** exponent)
                pieces.append(svg.rect(times(at) - wide, y, wide + 0.4, room - 1, color))
    every = max(1, math.ceil(16 / room))
    label_of = Field("", [], config={"unit": unit})
    for place, (bound, _, _) in enumerate(buckets):
        if place % every == 0:
            text = "+Inf" if math.isinf(bound) else shown(label_of, bound).text
            pieces.append(svg.label(left - 6, bottom - (place + 1) * room + 5, text, anchor="end"))
    pieces.append(marks_drawn(picture.marks, times, 4, bottom))
    return svg.picture(picture.width, picture.height, *pieces)


def _bound(one: Field) -> float:
    text = one.labels.get("le", one.title)
    try:
        return float(text.replace("Inf", "inf"))
    except ValueError as error:
        raise ValueError(
            f"a heatmap of buckets has the series {one.title!r}, without le"
        ) from error


def _counts(panel: Json, buckets: Sequence[tuple[float, Frame, Field]]) -> list[dict[float, float]]:
    """Return what is in each bucket alone, where its query asks for the format of heatmaps."""
    rows = [
        dict(zip(frame.of_kind("time")[0].values, one.values, strict=True))
        for _, frame, one in buckets
    ]
    if not any(target.get("format") == "heatmap" for target in panel.get("targets", ())):
        return rows
    below: list[dict[float, float]] = [{}, *rows[:-1]]
    return [
        {at: max(value - low.get(at, 0), 0) for at, value in row.items()}
        for row, low in zip(rows, below, strict=True)
    ]


def status_history(panel: Json, frames: Sequence[Frame], picture: Picture) -> str:
    """Return the same as a state timeline; each value would be a box of its own."""
    return state_timeline(panel, frames, picture)


def nothing(picture: Picture) -> str:
    """Return what a panel shows where there are no data."""
    words = svg.label(
        picture.width / 2, picture.height / 2, "No data", anchor="middle", font_size=15
    )
    return svg.picture(picture.width, picture.height, words)
