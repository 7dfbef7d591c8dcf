"""Curves of sessions, with as few points as an assistant can take in."""

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.mcp.plain import number


def thinned(points: Sequence[Mapping[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Return at most `limit` points: neighbours become one, which keeps their extremes.

    The mean of joined points is that of the means.
    """
    size = max(1, -(-len(points) // limit))
    return [_joined(points[start : start + size]) for start in range(0, len(points), size)]


def summary_of(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return where a curve begins and ends, and what is lowest and highest in it."""
    shown = thinned(points, max(1, len(points)))
    lows = [point for point in shown if isinstance(point["low"], float)]
    return {
        "first": shown[0] if shown else None,
        "last": shown[-1] if shown else None,
        "lowest": min(lows, key=lambda point: float(point["low"]), default=None),
        "highest": max(lows, key=lambda point: float(point["high"]), default=None),
    }


def _joined(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means, lows, highs = (_finite(points, name) for name in ("mean", "low", "high"))
    return {
        "x": _shown(points[0]["x"]),
        "mean": _shown(sum(means) / len(means)) if means else "NaN",
        "low": _shown(min(lows)) if lows else "NaN",
        "high": _shown(max(highs)) if highs else "NaN",
    }


def _finite(points: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """Return the numbers of that name; those that JSON does not have come as texts."""
    return [float(point[name]) for point in points if isinstance(point[name], int | float)]


def _shown(value: Any) -> Any:
    return number(float(value)) if isinstance(value, int | float) else value
