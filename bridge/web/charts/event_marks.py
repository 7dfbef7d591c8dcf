"""Marks on a chart where the training loop has reported events."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.occurrences import Happened
from bridge.web.charts.line_chart import Chart

MARKS_DRAWN = 40
"""The newest."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened, in percent of the width."""

    place: float
    text: str


def event_marks(chart: Chart | None, occurrences: Sequence[Happened]) -> tuple[Mark, ...]:
    """Return a mark in each column of a loss curve in whose time something happened."""
    if chart is None or not chart.columns:
        return ()
    starts = [column.start for column in chart.columns]
    placed = [(bisect_right(starts, one.at) - 1, one) for one in occurrences[-MARKS_DRAWN:]]
    texts: dict[int, list[str]] = {}
    for index, one in placed:
        if index >= 0:
            texts.setdefault(index, []).append(one.occurrence.name)
    middles = [column.x + column.width / 2 for column in chart.columns]
    return tuple(Mark(round(middles[at], 3), ", ".join(names)) for at, names in texts.items())
