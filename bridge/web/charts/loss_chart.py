"""A chart of the loss of every batch, from the bins of its curve."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from bridge.history import Bin
from bridge.web.charts.line_chart import (
    LARGEST,
    MAX_X_TICKS,
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

SPARKLINE_BINS = 60

MAX_SPIKES = 6
SPIKE_FACTOR = 1.6
"""A value this many times the median around it is marked."""

SPIKE_NEIGHBOURS = 8
SPIKE_DISTANCE = 3
"""Of two spikes no further apart than so many bins, only the higher one is marked."""

GAP_TOP = 12.0
"""Where the mark of a bin without a finite value is drawn, in pixels."""


def loss_chart(bins: Sequence[Bin], *, height: int = 300) -> Chart | None:
    """Return a band between extremes, a line of means, and marks at spikes and non-finite values."""
    if not bins:
        return None
    scale = _scale(bins)
    columns = _columns(bins, scale, height)
    bands, pieces = _shapes(bins, scale, height)
    return Chart(
        height,
        scale.is_log,
        (Line("mean", "a", pieces),),
        bands,
        columns,
        tuple(_spikes(columns)),
        _gaps(columns),
        _epoch_ticks(bins),
        y_ticks(scale, height),
    )


def sparkline(bins: Sequence[Bin], *, height: int = 44) -> Chart | None:
    """Return a small chart without axes."""
    if not bins:
        return None
    merged = _merged_to(SPARKLINE_BINS, bins)
    scale = _scale(merged)
    bands, pieces = _shapes(merged, scale, height)
    gaps = _gaps(_columns(merged, scale, height))
    return Chart(height, scale.is_log, (Line("loss", "a", pieces),), bands, gaps=gaps)


def _scale(bins: Sequence[Bin]) -> Scale:
    return scale_of(value for bin_ in bins if bin_.count for value in _extremes(bin_))


def _shapes(
    bins: Sequence[Bin], scale: Scale, height: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the polygons of the band and the pieces of the line, one of each for every run."""
    step = WIDTH / len(bins)
    bands, pieces = [], []
    for run in _finite_runs(bins):
        middles = [(index + 0.5) * step for index, _ in run]
        lows = [y_of(scale, _extremes(bin_)[0], height) for _, bin_ in run]
        highs = [y_of(scale, _extremes(bin_)[1], height) for _, bin_ in run]
        means = [y_of(scale, _bounded(bin_.mean), height) for _, bin_ in run]
        outline = [*zip(middles, highs, strict=True), *reversed([*zip(middles, lows, strict=True)])]
        bands.append(svg_points(outline))
        pieces.append(svg_points(zip(middles, means, strict=True)))
    return tuple(bands), tuple(pieces)


def _finite_runs(bins: Sequence[Bin]) -> list[list[tuple[int, Bin]]]:
    """Return the stretches of neighbouring bins that have finite values."""
    runs: list[list[tuple[int, Bin]]] = [[]]
    for index, bin_ in enumerate(bins):
        if bin_.count:
            runs[-1].append((index, bin_))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _columns(bins: Sequence[Bin], scale: Scale, height: int) -> tuple[Column, ...]:
    width = 100 / len(bins)
    return tuple(
        Column(
            round(index * width, 3),
            round(width, 3),
            bin_.start,
            _bounded(bin_.mean) if bin_.count else math.nan,
            bin_.high if bin_.count else math.nan,
            bin_.nonfinite,
            bin_.epoch,
            bin_.batch,
            y_of(scale, _extremes(bin_)[1], height) if bin_.count else GAP_TOP,
        )
        for index, bin_ in enumerate(bins)
    )


def _spikes(columns: Sequence[Column]) -> list[Column]:
    """Return the columns that stand out most from those around them, in order."""
    heights = ((_relative_height(columns, index), index) for index in range(len(columns)))
    found = [(height, index) for height, index in heights if height > SPIKE_FACTOR]
    found.sort(key=lambda entry: -entry[0])
    chosen: list[int] = []
    for _, index in found:
        is_apart = all(abs(index - other) > SPIKE_DISTANCE for other in chosen)
        if is_apart and len(chosen) < MAX_SPIKES:
            chosen.append(index)
    return [columns[index] for index in sorted(chosen)]


def _relative_height(columns: Sequence[Column], index: int) -> float:
    """Return a column's highest value over the median of the means around it; 0: there is none."""
    column = columns[index]
    around = columns[max(0, index - SPIKE_NEIGHBOURS) : index + SPIKE_NEIGHBOURS + 1]
    means = sorted(
        other.mean for other in around if other is not column and math.isfinite(other.mean)
    )
    if not means or not math.isfinite(column.high):
        return 0.0
    median = means[len(means) // 2]
    return column.high / median if median > 0 else 0.0


def _gaps(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the stretches with non-finite values, each as one column at the place of its first."""
    gaps: list[Column] = []
    for column in columns:
        if not column.nonfinite:
            continue
        last = gaps[-1] if gaps else None
        if last is not None and column.x - (last.x + last.width) < column.width / 2:
            width = round(column.x + column.width - last.x, 3)
            gaps[-1] = replace(last, width=width, nonfinite=last.nonfinite + column.nonfinite)
        else:
            gaps.append(column)
    return tuple(gaps)


def _epoch_ticks(bins: Sequence[Bin]) -> tuple[Tick, ...]:
    """Label where epochs begin, as many as there is room for."""
    starts = [(0, bins[0].epoch)]
    for index, (before, bin_) in enumerate(pairwise(bins), start=1):
        if bin_.epoch > before.epoch:
            starts.append((index, bin_.epoch))
    stride = math.ceil(len(starts) / MAX_X_TICKS)
    return tuple(
        Tick(round(index * 100 / len(bins), 3), f"epoch {epoch}")
        for index, epoch in starts[::stride]
    )


def _extremes(bin_: Bin) -> tuple[float, float]:
    return _bounded(bin_.low), _bounded(bin_.high)


def _bounded(value: float) -> float:
    """Return a value that can be calculated with; NaN, which opposite infinities average to, becomes the lowest."""
    return min(LARGEST, max(-LARGEST, value))


def _merged_to(limit: int, bins: Sequence[Bin]) -> list[Bin]:
    stride = math.ceil(len(bins) / limit)
    if stride == 1:
        return list(bins)
    return [_merged(bins[index : index + stride]) for index in range(0, len(bins), stride)]


def _merged(bins: Sequence[Bin]) -> Bin:
    return Bin(
        bins[0].start,
        sum(bin_.count for bin_ in bins),
        sum(bin_.total for bin_ in bins),
        min(bin_.low for bin_ in bins),
        max(bin_.high for bin_ in bins),
        sum(bin_.nonfinite for bin_ in bins),
        bins[0].epoch,
        bins[0].batch,
    )
