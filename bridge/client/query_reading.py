"""What callers choose from the answers of a bridge: since when, which curves, and how many points."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from bridge.client.query_logged import Curve, CurvePoint

Moment = float | datetime
"""Seconds since 1970, or a datetime; one without a time zone is local time."""


def seconds_of(moment: Moment | None) -> float:
    """Return a moment in seconds since 1970; the beginning of time where there is none."""
    if moment is None:
        return -math.inf
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


def chosen_curves(
    curves: Iterable[Curve], names: Iterable[str] | str, since: Moment | None, points: int | None
) -> Iterator[Curve]:
    """Yield the curves of these names, without what came before `since`, of at most `points` points each."""
    wanted = {names} if isinstance(names, str) else set(names)
    start = seconds_of(since)
    for curve in curves:
        if not wanted or curve.name in wanted:
            late = [point for point in curve.points if point.at >= start]
            yield replace(curve, points=tuple(thinned(late, points)))


def thinned(points: Sequence[CurvePoint], most: int | None) -> Iterator[CurvePoint]:
    """Yield the points, neighbours merged until there are at most `most`; raises ValueError for none at all."""
    if most is not None and most < 1:
        raise ValueError(f"points must be 1 or more, not {most}")
    size = 1 if most is None else max(1, math.ceil(len(points) / most))
    for start in range(0, len(points), size):
        yield _merged(points[start : start + size])


def _merged(points: Sequence[CurvePoint]) -> CurvePoint:
    first, finite = points[0], [point for point in points if point.mean is not None]
    count = sum(point.count for point in finite)
    total = math.fsum((point.mean or 0.0) * point.count for point in finite)
    lows = [point.low for point in finite if point.low is not None]
    highs = [point.high for point in finite if point.high is not None]
    return replace(
        first,
        count=count,
        mean=total / count if count else None,
        low=min(lows, default=None),
        high=max(highs, default=None),
        nonfinite=sum(point.nonfinite for point in points),
    )
