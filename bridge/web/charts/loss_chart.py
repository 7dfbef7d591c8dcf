"""Lay out the loss curve: every bin of it, or a sparkline."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from bridge.history import Bin
from bridge.web.charts.line_chart import (
    HIGHEST,
    TICKS,
    WIDTH,
    Chart,
    Column,
    Line,
    Tick,
    svg_points,
    y_of,
    y_ticks,
)
from bridge.web.charts.scale import Scale, scale_of

SPARK_POINTS = 60

SPIKES = 6

SPIKE_FACTOR = 1.6
"""A value this much above its surroundings is worth a mark."""

NEIGHBOURHOOD = 8


def loss_chart(bins: Sequence[Bin], *, height: int = 300) -> Chart | None:
    """Draw every bin: band between extremes, line of means, marks at spikes and at non-finite values."""
    if not bins:
        return None
    scale = _scale(bins)
    columns = _columns(bins, scale, height)
    bands, pieces = _shapes(bins, scale, height)
    return Chart(
        height,
        bands,
        (Line("mean", "a", pieces),),
        columns,
        tuple(_spikes(columns)),
        _gaps(columns),
        _epoch_ticks(bins),
        y_ticks(scale, height),
        scale.is_log,
    )


def sparkline(bins: Sequence[Bin], *, height: int = 44) -> Chart | None:
    """Draw a small picture of a curve, without axes."""
    if not bins:
        return None
    few = _thinned(bins)
    scale = _scale(few)
    bands, pieces = _shapes(few, scale, height)
    columns = _columns(few, scale, height)
    line = Line("loss", "a", pieces)
    return Chart(height, bands, (line,), (), (), _gaps(columns), (), (), scale.is_log)


def _scale(bins: Sequence[Bin]) -> Scale:
    return scale_of(value for part in bins if part.count for value in _extremes(part))


def _extremes(part: Bin) -> tuple[float, float]:
    return _bounded(part.low), _bounded(part.high)


def _shapes(
    bins: Sequence[Bin], scale: Scale, height: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the band's polygons and the line's pieces, one of each for every unbroken run."""
    step = WIDTH / len(bins)
    bands, pieces = [], []
    for run in _runs(bins):
        middles = [(index + 0.5) * step for index, _ in run]
        tops = [y_of(scale, _extremes(part)[1], height) for _, part in run]
        floors = [y_of(scale, _extremes(part)[0], height) for _, part in run]
        means = [y_of(scale, _mean(part), height) for _, part in run]
        bands.append(svg_points([*zip(middles, tops, strict=True),
                              *reversed(list(zip(middles, floors, strict=True)))]))  # fmt: skip
        pieces.append(svg_points(zip(middles, means, strict=True)))
    return tuple(bands), tuple(pieces)


def _runs(bins: Sequence[Bin]) -> list[list[tuple[int, Bin]]]:
    """Return the stretches of neighbouring bins that have finite values."""
    runs: list[list[tuple[int, Bin]]] = [[]]
    for index, part in enumerate(bins):
        if part.count:
            runs[-1].append((index, part))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _columns(bins: Sequence[Bin], scale: Scale, height: int) -> tuple[Column, ...]:
    share = 100 / len(bins)
    return tuple(
        Column(
            round(index * share, 3),
            round(share, 3),
            part.start,
            _mean(part) if part.count else math.nan,
            part.high if part.count else math.nan,
            part.nonfinite,
            part.epoch,
            part.batch,
            y_of(scale, _extremes(part)[1], height) if part.count else 12.0,
        )
        for index, part in enumerate(bins)
    )


def _spikes(columns: Sequence[Column]) -> list[Column]:
    """Return the columns whose highest value stands out of its surroundings, at most a few."""
    found = []
    for index, column in enumerate(columns):
        around = [
            other.mean
            for other in columns[max(0, index - NEIGHBOURHOOD) : index + NEIGHBOURHOOD + 1]
            if other is not column and math.isfinite(other.mean)
        ]
        if not around or not math.isfinite(column.high):
            continue
        usual = sorted(around)[len(around) // 2]
        if usual > 0 and column.high > usual * SPIKE_FACTOR:
            found.append((column.high / usual, index, column))
    found.sort(reverse=True, key=lambda entry: entry[0])
    chosen: list[tuple[int, Column]] = []
    for _, index, column in found:
        if all(abs(index - other) > 3 for other, _ in chosen) and len(chosen) < SPIKES:
            chosen.append((index, column))
    return [column for _, column in sorted(chosen, key=lambda entry: entry[0])]


def _gaps(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the stretches with non-finite values, each as one column that tells of its first."""
    gaps: list[Column] = []
    for column in columns:
        if not column.nonfinite:
            continue
        last = gaps[-1] if gaps else None
        if last is not None and column.x - (last.x + last.width) < column.width / 2:
            width, found = column.x + column.width - last.x, last.nonfinite + column.nonfinite
            gaps[-1] = replace(last, width=round(width, 3), nonfinite=found)
        else:
            gaps.append(column)
    return tuple(gaps)


def _epoch_ticks(bins: Sequence[Bin]) -> tuple[Tick, ...]:
    """Label where epochs begin, as many as there is room for."""
    starts = [(0, bins[0].epoch)]
    for index, (before, part) in enumerate(pairwise(bins), start=1):
        if part.epoch > before.epoch:
            starts.append((index, part.epoch))
    stride = math.ceil(len(starts) / TICKS)
    return tuple(
        Tick(round(index * 100 / len(bins), 3), f"epoch {epoch}")
        for index, epoch in starts[::stride]
    )


def _mean(part: Bin) -> float:
    return _bounded(part.mean)


def _bounded(value: float) -> float:
    """Return a value that can be reckoned with; not a number, as a mean of opposites is, counts as lowest."""
    return min(HIGHEST, max(-HIGHEST, value))


def _thinned(bins: Sequence[Bin]) -> list[Bin]:
    stride = math.ceil(len(bins) / SPARK_POINTS)
    if stride == 1:
        return list(bins)
    return [_merged(bins[index : index + stride]) for index in range(0, len(bins), stride)]


def _merged(parts: Sequence[Bin]) -> Bin:
    return Bin(
        parts[0].start,
        sum(part.count for part in parts),
        sum(part.total for part in parts),
        min(part.low for part in parts),
        max(part.high for part in parts),
        sum(part.nonfinite for part in parts),
        parts[0].epoch,
        parts[0].batch,
    )
