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
    tick_at,
    y_of,
    y_ticks,
)
from bridge.web.charts.scale import Scale, scale_of
from bridge.web.charts.spikes import spikes_of
from bridge.web.formatting import count

SPARKLINE_BINS = 60

GAP_TOP = 12.0
"""Where the mark of a bin without a finite value is drawn, in pixels."""

PlacedBins = tuple[Sequence[Bin], Sequence[float]]
"""Bins, and their edges in percent of the width."""


def loss_chart(
    bins: Sequence[Bin],
    *,
    height: int = 300,
    edges: Sequence[float] = (),
    faint: Sequence[PlacedBins] = (),
    counts_steps: bool = False,
) -> Chart | None:
    """Return a band between extremes, a line of means, and marks at spikes and non-finite values.

    `edges` are where each bin begins and the last one ends, in percent of the width; by default all are as wide.
    Only the means of the bins in `faint` are drawn, each with edges of their own. `counts_steps`: there are no
    epochs, and batches have the numbers of steps.
    """
    if not bins:
        return None
    edges = edges or _even_edges(len(bins))
    scale = _scale([*bins, *(bin_ for placed, _ in faint for bin_ in placed)])
    columns = _columns(bins, edges, scale, height)
    bands, pieces = _shapes(bins, edges, scale, height)
    return Chart(
        height,
        scale.is_log,
        (Line("mean", "a", pieces),),
        bands,
        columns,
        tuple(columns[index] for index in spikes_of([column.high for column in columns])),
        _gaps(columns),
        tuple(piece for placed in faint for piece in _shapes(*placed, scale, height)[1]),
        x_ticks=_step_ticks(bins, edges) if counts_steps else _epoch_ticks(bins, edges),
        y_ticks=y_ticks(scale, height),
    )


def sparkline(bins: Sequence[Bin], *, height: int = 44) -> Chart | None:
    """Return a small chart without axes."""
    if not bins:
        return None
    merged = _merged_to(SPARKLINE_BINS, bins)
    scale, edges = _scale(merged), _even_edges(len(merged))
    bands, pieces = _shapes(merged, edges, scale, height)
    gaps = _gaps(_columns(merged, edges, scale, height))
    return Chart(height, scale.is_log, (Line("loss", "a", pieces),), bands, gaps=gaps)


def _even_edges(count: int) -> list[float]:
    return [index * 100 / count for index in range(count + 1)]


def _scale(bins: Sequence[Bin]) -> Scale:
    return scale_of(value for bin_ in bins if bin_.count for value in _extremes(bin_))


def _shapes(
    bins: Sequence[Bin], edges: Sequence[float], scale: Scale, height: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the polygons of the band and the pieces of the line, one of each for every run."""
    bands, pieces = [], []
    for run in _finite_runs(bins):
        middles = [(edges[index] + edges[index + 1]) / 200 * WIDTH for index, _ in run]
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


def _columns(
    bins: Sequence[Bin], edges: Sequence[float], scale: Scale, height: int
) -> tuple[Column, ...]:
    return tuple(
        Column(
            round(start, 3),
            round(end - start, 3),
            bin_.start,
            _bounded(bin_.mean) if bin_.count else math.nan,
            bin_.high if bin_.count else math.nan,
            bin_.nonfinite,
            bin_.epoch,
            bin_.batch,
            y_of(scale, _extremes(bin_)[1], height) if bin_.count else GAP_TOP,
        )
        for bin_, (start, end) in zip(bins, pairwise(edges), strict=True)
    )


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


def _epoch_ticks(bins: Sequence[Bin], edges: Sequence[float]) -> tuple[Tick, ...]:
    """Label where epochs begin, as many as there is room for."""
    starts = [(0, bins[0].epoch)]
    for index, (before, bin_) in enumerate(pairwise(bins), start=1):
        if bin_.epoch > before.epoch:
            starts.append((index, bin_.epoch))
    ticks: list[Tick] = []
    for index, epoch in starts:
        place = edges[index]
        if not ticks or place - ticks[-1].place >= 100 / MAX_X_TICKS:
            text = str(epoch) if ticks else f"epoch {epoch}"
            ticks.append(tick_at(place, text, anchor="start"))
    return tuple(ticks)


def _step_ticks(bins: Sequence[Bin], edges: Sequence[float]) -> tuple[Tick, ...]:
    """Label the first steps of bins, as many as there is room for."""
    ticks: list[Tick] = []
    for bin_, place in zip(bins, edges, strict=False):
        if not ticks or place - ticks[-1].place >= 100 / MAX_X_TICKS:
            text = count(bin_.first_batch)
            ticks.append(tick_at(place, text if ticks else f"step {text}", anchor="start"))
    return tuple(ticks)


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
