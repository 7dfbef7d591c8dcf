"""A chart of the loss of a run that took several attempts."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate

from bridge.history import Bin
from bridge.web.attempts.stitching import Stretch, counted_bins
from bridge.web.charts.line_chart import Chart, Column, Tick, tick_at
from bridge.web.charts.loss_chart import loss_chart

MARK_ROOM = 11.0
"""In percent of the width: a mark that is closer to the one before it has no words."""


def attempts_chart(
    stretches: Sequence[Stretch], *, height: int = 300, counts_steps: bool = False
) -> Chart | None:
    """Return a chart of what counts, what was done again below it, and a mark where each attempt began.

    Its x axis is the number of batches that count, so that the same distance is as much work everywhere.
    """
    drawn = [stretch for stretch in stretches if stretch.bins or stretch.superseded]
    if len(drawn) <= 1:
        return loss_chart(counted_bins(drawn), height=height, counts_steps=counts_steps)
    starts = [0.0, *accumulate(_weight(stretch.bins) for stretch in drawn)]
    ends = [
        start + _weight(stretch.bins) + _weight(stretch.superseded)
        for start, stretch in zip(starts, drawn, strict=False)
    ]
    total = max(*ends, starts[-1])
    bins = counted_bins(drawn)
    faint = [
        (stretch.superseded, _edges(stretch.superseded, start + _weight(stretch.bins), total))
        for start, stretch in zip(starts, drawn, strict=False)
        if stretch.superseded
    ]
    chart = loss_chart(
        bins, height=height, edges=_edges(bins, 0.0, total), faint=faint, counts_steps=counts_steps
    )
    if chart is None:
        return None
    places = [
        (start * 100 / total, stretch.attempt)
        for start, stretch in zip(starts, drawn, strict=False)
        if stretch.bins
    ]
    of_bin = [stretch.attempt for stretch in drawn for _ in stretch.bins]
    return replace(
        chart,
        columns=_of_attempts(chart.columns, of_bin),
        spikes=_of_their_columns(chart.spikes, chart.columns, of_bin),
        gaps=_of_their_columns(chart.gaps, chart.columns, of_bin),
        marks=_marks(places),
    )


def _weight(bins: Iterable[Bin]) -> float:
    return float(sum(bin_.count + bin_.nonfinite for bin_ in bins))


def _edges(bins: Sequence[Bin], start: float, total: float) -> list[float]:
    ends = accumulate((_weight([bin_]) for bin_ in bins), initial=start)
    return [end * 100 / total for end in ends]


def _of_attempts(columns: Sequence[Column], attempts: Sequence[int]) -> tuple[Column, ...]:
    return tuple(
        replace(column, attempt=attempt) for column, attempt in zip(columns, attempts, strict=True)
    )


def _of_their_columns(
    marked: Sequence[Column], columns: Sequence[Column], attempts: Sequence[int]
) -> tuple[Column, ...]:
    """Return columns with the attempt of the one that begins where each of them does."""
    by_place = {column.x: attempt for column, attempt in zip(columns, attempts, strict=True)}
    return tuple(replace(column, attempt=by_place[column.x]) for column in marked)


def _marks(places: Sequence[tuple[float, int]]) -> tuple[Tick, ...]:
    """Return a mark for every attempt but the first, with words where there is room for them."""
    marks: list[Tick] = []
    last = -MARK_ROOM
    for place, attempt in places:
        if attempt == 1:
            continue
        has_room = place - last >= MARK_ROOM
        last = place if has_room else last
        marks.append(tick_at(place, f"attempt {attempt}" if has_room else "", anchor="start"))
    return tuple(marks)
