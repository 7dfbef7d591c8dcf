"""Renders the series of sessions as lines of the page, family by family."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from operator import attrgetter

from bridge.families import Family, Type
from bridge.sinks.metrics.families import TRAINING_FAMILIES
from bridge.sinks.metrics.observations import Exemplar, Histogram
from bridge.sinks.metrics.series import END_OF_LABELS, Histograms, Labelled, SessionSeries

PIECE_LINES = 500
"""A piece is about this long; it grows by the lines of one family of one session at most."""

Lines = Callable[[SessionSeries], list[str]]
"""Renders one family of one session; [] where it has no value."""


def pieces(sessions: Sequence[SessionSeries], *, is_openmetrics: bool) -> Iterator[tuple[str, int]]:
    """Yield the page in pieces, each with its number of series.

    Every family is contiguous, as the formats require, and no histogram is split between two pieces, so that
    its parts agree even if the series change in between.
    """
    for family in OPENMETRICS if is_openmetrics else TEXT:
        lines: list[str] = []
        header = family.header
        for session in sessions:
            lines += family.lines(session)
            if len(lines) >= PIECE_LINES:
                yield header + "".join(lines), len(lines)
                lines, header = [], ""
        if lines:
            yield header + "".join(lines), len(lines)


@dataclass(frozen=True, slots=True)
class FamilyRenderer:
    """How a family is rendered in one of the formats."""

    header: str
    lines: Lines


def number(value: float) -> str:
    """Return a value as both formats have it."""
    if isfinite(value):
        return repr(value)
    if value != value:  # noqa: PLR0124 -- only NaN differs from itself
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def _renderer(family: Family, *, is_openmetrics: bool) -> FamilyRenderer:
    return FamilyRenderer(
        _header(family, is_openmetrics=is_openmetrics), _lines(family, is_openmetrics)
    )


def _header(family: Family, *, is_openmetrics: bool) -> str:
    name = family.name.removesuffix("_total") if is_openmetrics else family.name
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n"


def _lines(family: Family, with_exemplars: bool) -> Lines:  # noqa: FBT001 -- one of two tables
    read = attrgetter(family.attribute)
    if family.type is Type.HISTOGRAM:
        bounds = [f',le="{bound!r}"}} ' for bound in family.buckets] + [',le="+Inf"} ']
        return partial(_histograms, family.name, bounds, read, with_exemplars)
    return partial(_labelled if len(family.labels) > 1 else _single, family.name, read)


def _single(
    name: str, read: Callable[[SessionSeries], float | None], series: SessionSeries
) -> list[str]:
    value = read(series)
    if value is None:
        return []
    return [f"{name}{series.label}{END_OF_LABELS}{number(value)}\n"]


def _labelled(
    name: str, read: Callable[[SessionSeries], Labelled], series: SessionSeries
) -> list[str]:
    start = name + series.label
    return [f"{start}{label}{number(value)}\n" for label, value in read(series).items()]


def _histograms(
    name: str,
    bounds: list[str],
    read: Callable[[SessionSeries], Histograms],
    with_exemplars: bool,  # noqa: FBT001 -- one of two tables
    series: SessionSeries,
) -> list[str]:
    lines: list[str] = []
    for labels, histogram in read(series).items():
        cumulative = histogram.cumulative()
        if not cumulative[-1] and not histogram.is_shown_empty:
            continue
        start = f"{name}_bucket{series.label}{labels}"
        if with_exemplars and histogram.exemplars:
            exemplars = _exemplars(histogram, series.exemplar)
            lines += [
                f"{start}{bound}{count}{exemplar}\n"
                for bound, count, exemplar in zip(bounds, cumulative, exemplars, strict=True)
            ]
        else:
            lines += [
                f"{start}{bound}{count}\n" for bound, count in zip(bounds, cumulative, strict=True)
            ]
        end = f"{series.label}{labels}{END_OF_LABELS}"
        lines.append(f"{name}_sum{end}{histogram.total!r}\n")
        lines.append(f"{name}_count{end}{cumulative[-1]}\n")
    return lines


def _exemplars(histogram: Histogram, start: str) -> list[str]:
    exemplars = histogram.exemplars
    return [
        _exemplar(start, exemplars[place]) if place in exemplars else ""
        for place in range(len(histogram.counts))
    ]


def _exemplar(start: str, exemplar: Exemplar) -> str:
    epoch, batch, value, at, *steps = exemplar
    step = f',step="{steps[0]}"' if steps else ""
    return f'{start}{epoch}-{batch}"{step}}} {value!r} {at:.3f}'


TEXT = tuple(_renderer(family, is_openmetrics=False) for family in TRAINING_FAMILIES)
OPENMETRICS = tuple(_renderer(family, is_openmetrics=True) for family in TRAINING_FAMILIES)
