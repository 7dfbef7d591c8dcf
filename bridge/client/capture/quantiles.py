"""A distribution as a few numbers."""

from itertools import starmap
from typing import Any

from bridge.client.capture.host import to_numpy
from bridge.client.capture.kinds import Kind, kind_of, np

QUANTILES = {
    "p0": 0.0,
    "p5": 0.05,
    "p25": 0.25,
    "p50": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "p100": 1.0,
}
"""What is kept of a distribution, p0 and p100 its ends."""


def quantiles_of(values: Any) -> dict[str, float]:
    """Return the quantiles of an array, a tensor or numbers, by name; waits for a device.

    What is not finite does not count. Raises ValueError where nothing is left, or NumPy is not there.
    """
    if np is None:
        raise ValueError("needs NumPy: pip install numpy")
    if kind_of(values) is Kind.TORCH:
        values = to_numpy(values.detach().float().cpu())
    array = np.asarray(values, dtype=float).ravel()
    array = array[np.isfinite(array)]
    if not array.size:
        raise ValueError("no finite numbers: there is no distribution")
    found = np.quantile(array, list(QUANTILES.values()))
    return dict(zip(QUANTILES, map(float, found), strict=True))


def quantiles_of_bins(counts: Any, edges: Any) -> dict[str, float]:
    """Return the quantiles of numbers that were counted in bins, spread evenly over each.

    `edges` are the ends of the bins, one more than there are counts. Raises ValueError as above.
    """
    if np is None:
        raise ValueError("needs NumPy: pip install numpy")
    counts, edges = (np.asarray(part, dtype=float).ravel() for part in (counts, edges))
    if len(edges) != len(counts) + 1 or not counts.sum() > 0:
        raise ValueError("give counts above 0, and one edge more than there are counts")
    below = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    first, last = _filled(counts)
    inner, at = below[first : last + 2], edges[first : last + 2]

    def quantile(name: str, share: float) -> tuple[str, float]:
        return name, float(np.interp(share, inner, at))

    return dict(starmap(quantile, QUANTILES.items()))


def _filled(counts: Any) -> tuple[int, int]:
    """Return the first and the last bin with anything in it."""
    filled = np.flatnonzero(counts)
    return int(filled[0]), int(filled[-1])
