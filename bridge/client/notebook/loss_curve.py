"""A loss curve of bounded size, however long the run."""

import math

MOST_POINTS = 96
"""Beyond that, two neighbours become one."""


class LossCurve:
    """Means of equally many neighbouring losses; those that are not finite are left out."""

    def __init__(self) -> None:
        """Start without a point."""
        self._means: list[float] = []
        self._size = 1
        """Losses in a point."""
        self._sum = 0.0
        self._count = 0

    def add(self, loss: float) -> None:
        """Take the next loss."""
        if not math.isfinite(loss):
            return
        self._sum += loss
        self._count += 1
        if self._count < self._size:
            return
        self._means.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self._means) >= MOST_POINTS:
            means = self._means
            self._means = [sum(means[at : at + 2]) / 2 for at in range(0, len(means), 2)]
            self._size *= 2

    def points(self) -> tuple[float, ...]:
        """Return the curve, with what the last point has so far."""
        unfinished = (self._sum / self._count,) if self._count else ()
        return (*self._means, *unfinished)
