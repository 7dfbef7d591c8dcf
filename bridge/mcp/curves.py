"""Curves of sessions, with as few points as an assistant can take in."""

import math
from collections.abc import Sequence
from typing import Any

from bridge.client.query_logged import ComparedPoint
from bridge.mcp.plain import number


def thinned(points: Sequence[ComparedPoint], limit: int) -> list[dict[str, Any]]:
    """Return at most `limit` points: neighbours become one, which keeps their extremes.

    The mean of joined points is that of the means.
    """
    size = max(1, -(-len(points) // limit))
    return [_joined(points[start : start + size]) for start in range(0, len(points), size)]


def summary_of(points: Sequence[ComparedPoint]) -> dict[str, Any]:
    """Return where a curve begins and ends, and what is lowest and highest in it; None: nothing is finite."""
    finite = [point for point in points if math.isfinite(point.mean)]
    lowest = min(finite, key=lambda point: point.low, default=None)
    highest = max(finite, key=lambda point: point.high, default=None)
    return {
        "first": _joined(points[:1]) if points else None,
        "last": _joined(points[-1:]) if points else None,
        "lowest": None if lowest is None else _joined([lowest]),
        "highest": None if highest is None else _joined([highest]),
    }


def _joined(points: Sequence[ComparedPoint]) -> dict[str, Any]:
    finite = [point for point in points if math.isfinite(point.mean)]
    mean = sum(point.mean for point in finite) / len(finite) if finite else math.nan
    return {
        "x": number(points[0].x),
        "mean": number(mean),
        "low": number(min((point.low for point in finite), default=math.nan)),
        "high": number(max((point.high for point in finite), default=math.nan)),
    }
