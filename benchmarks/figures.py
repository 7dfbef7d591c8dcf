"""From many measured values to the few that are reported."""

import math
from collections.abc import Sequence

MICROSECONDS = 1e6
MILLISECONDS = 1e3
MEBIBYTE = 1 << 20


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """Return the value in the middle."""
    return percentile(values, 0.5)
