"""Lay out curves as the points and places of an SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bridge.history import Bin
from bridge.web.charts.scale import Scale, scale_of

WIDTH = 1000.0
"""Shapes are stretched from this width to whatever the page has; texts are placed in percent."""

SPARK_POINTS = 60
SPIKES = 6
SPIKE_FACTOR = 1.6
"""A value this much above its surroundings is worth a mark."""

NEIGHBOURHOOD = 8
TICKS = 6
HIGHEST = 1e300
"""Beyond this, sums and differences of finite numbers stop being finite."""


Series = tuple[str, str, Sequence[float | None]]
"""Name, style and values of a curve."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis: percent across, or pixels down."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """One bin of a curve, as tall as the picture: where the pointer learns and the click leads."""

    x: float
    width: float
    start: float
    mean: float
    high: float
    nonfinite: int
    epoch: int
    batch: int
    y: float
    """Of its highest value, in pixels."""

    @property
    def place(self) -> str:
        """The batch of its highest value, as links write it."""
        return f"{self.epoch}-{self.batch}"


@dataclass(frozen=True, slots=True)
class Line:
    """A named line, broken where there is nothing to draw."""

    name: str
    style: str
    pieces: tuple[str, ...]
    dots: tuple[tuple[float, float], ...] = ()
    last: float = math.nan


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of one or more curves over a shared axis."""

    height: int
    bands: tuple[str, ...]
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    spikes: tuple[Column, ...]
    gaps: tuple[Column, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[tuple[float, float], ...]
    is_log: bool


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
        _y_ticks(scale, height),
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


def epoch_chart(
    numbers: Sequence[int],
    series: Sequence[Series],
    *,
    height: int = 190,
) -> Chart | None:
    """Draw one dot an epoch for each (name, style, values)."""
    drawn = [_numbered(numbers, values) for _, _, values in series]
    if not any(drawn):
        return None
    scale = scale_of(value for points in drawn for _, value in points)
    first, last = numbers[0], max(numbers[-1], numbers[0] + 1)
    lines = tuple(
        _line(name, style, points, (first, last), scale, height)
        for (name, style, _), points in zip(series, drawn, strict=True)
        if points
    )
    ticks = _number_ticks(first, last)
    return Chart(
        height, (), lines, (), (), (), ticks, _y_ticks(scale, height), scale.is_log
    )  # fmt: skip


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
        tops = [_down(scale, _extremes(part)[1], height) for _, part in run]
        floors = [_down(scale, _extremes(part)[0], height) for _, part in run]
        means = [_down(scale, _mean(part), height) for _, part in run]
        bands.append(_points([*zip(middles, tops, strict=True),
                              *reversed(list(zip(middles, floors, strict=True)))]))  # fmt: skip
        pieces.append(_points(zip(middles, means, strict=True)))
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
            _down(scale, _extremes(part)[1], height) if part.count else 12.0,
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


def _number_ticks(first: int, last: int) -> tuple[Tick, ...]:
    stride = math.ceil((last - first + 1) / TICKS)
    return tuple(
        Tick(round(_across(number, first, last) / WIDTH * 100, 3), str(number))
        for number in range(first, last + 1, stride)
    )


def _y_ticks(scale: Scale, height: int) -> tuple[tuple[float, float], ...]:
    ticks = ((_down(scale, value, height), value) for value in scale.ticks())
    return tuple((place, value) for place, value in ticks if 14 <= place <= height - 2)


def _numbered(numbers: Sequence[int], values: Sequence[float | None]) -> list[tuple[int, float]]:
    return [
        (number, value)
        for number, value in zip(numbers, values, strict=True)
        if value is not None and abs(value) < HIGHEST
    ]


def _line(
    name: str,
    style: str,
    points: Sequence[tuple[int, float]],
    span: tuple[int, int],
    scale: Scale,
    height: int,
) -> Line:
    places = [(_across(number, *span), _down(scale, value, height)) for number, value in points]
    few = places if len(places) <= SPARK_POINTS else places[-1:]
    dots = tuple((round(x / WIDTH * 100, 3), y) for x, y in few)
    return Line(name, style, (_points(places),), dots, points[-1][1])


def _across(number: int, first: int, last: int) -> float:
    """Place an epoch, with room for its dot and its label at both ends."""
    return WIDTH * (0.09 + 0.87 * (number - first) / (last - first))


def _down(scale: Scale, value: float, height: int) -> float:
    return round(height - 3 - (height - 6) * min(1.0, max(0.0, scale.place(value))), 2)


def _mean(part: Bin) -> float:
    return _bounded(part.mean)


def _bounded(value: float) -> float:
    """Return a value that can be reckoned with; not a number, as a mean of opposites is, counts as lowest."""
    return min(HIGHEST, max(-HIGHEST, value))


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:g}" for x, y in places)


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
