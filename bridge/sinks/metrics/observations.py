"""Aggregates of a stream of numbers: a histogram, and recent extremes."""

import sys
from bisect import bisect_left
from itertools import accumulate
from typing import Any

INTERVAL_SECONDS = 15
"""An extreme stays visible for at least this long, so a scrape this often cannot miss it."""

LARGEST = sys.float_info.max
"""The limit of a sum: it never becomes infinite, and never falls."""

Exemplar = tuple[int, int, float, float] | tuple[int, int, float, float, int]
"""Epoch, batch, value, when it arrived (seconds since 1970), and the training step where it was reported."""


class Histogram:
    """Counts finite values from 0 by bucket.

    A negative value would lower the sum: OpenMetrics forbids that, and rate() would take it for a reset.
    Such values have a histogram of their own.
    """

    __slots__ = ("bounds", "counts", "exemplars", "is_shown_empty", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Start empty; a value counts for the first bound that is not below it."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.is_shown_empty = False
        """Whether it is on the page without values, because a query needs it."""
        self.exemplars: dict[int, Exemplar] = {}
        """The last one of each bucket, by its index."""

    def observe(self, value: float) -> int:
        """Count a finite value that is not negative, and return the index of its bucket."""
        place = bisect_left(self.bounds, value)
        self.counts[place] += 1
        self.total = min(self.total + value, LARGEST)
        return place

    def cumulative(self) -> list[int]:
        """Return how many values are not above each bound, and at last the number of all."""
        return list(accumulate(self.counts))

    def snapshot(self) -> list[Any]:
        """Return what `restore` takes."""
        return [self.bounds, self.counts.copy(), self.total, self.exemplars.copy()]

    def restore(self, state: list[Any]) -> None:
        """Continue from a snapshot; one with other buckets, from another version, is ignored."""
        bounds, counts, total, exemplars = state
        if (
            tuple(bounds) == self.bounds and total >= 0
        ):  # older versions counted negative values, too
            self.counts, self.total = counts, total
            self.exemplars = {place: tuple(exemplar) for place, exemplar in exemplars.items()}


class Extremes:
    """The lowest and the highest value of this and the previous interval.

    Intervals begin at whole multiples of INTERVAL_SECONDS of the monotonic clock. A value is reported
    until its interval and the next one are over, hence for 15 to 30 seconds, whatever happens to the wall clock.
    """

    __slots__ = ("_before", "_interval", "_now")

    def __init__(self) -> None:
        """Start without values."""
        self._interval = 0
        self._now: tuple[float, float] | None = None
        self._before: tuple[float, float] | None = None

    def add(self, value: float, at: float) -> None:
        """Add a finite value that arrived at `at`."""
        interval = int(at // INTERVAL_SECONDS)
        if interval > self._interval:
            self._before = self._now if interval == self._interval + 1 else None
            self._now = None
            self._interval = interval
        known = self._now
        if known is None:
            self._now = (value, value)
        elif value > known[1]:
            self._now = (known[0], value)
        elif value < known[0]:
            self._now = (value, known[1])

    def at(self, now: float) -> tuple[float, float] | None:
        """Return (lowest, highest) as of `now`, or None if there was no recent value."""
        interval = int(now // INTERVAL_SECONDS)
        if interval == self._interval:
            recent = [pair for pair in (self._before, self._now) if pair is not None]
        elif interval == self._interval + 1 and self._now is not None:
            recent = [self._now]
        else:
            return None
        return (min(low for low, _ in recent), max(high for _, high in recent)) if recent else None

    def snapshot(self, now: float) -> list[Any]:
        """Return what `restore` takes."""
        return [int(now // INTERVAL_SECONDS) - self._interval, self._now, self._before]

    def restore(self, state: list[Any], then: float) -> None:
        """Continue from a snapshot taken at `then`, in terms of a monotonic clock that may have restarted since."""
        intervals_ago, now, before = state
        self._interval = int(then // INTERVAL_SECONDS) - intervals_ago
        self._now, self._before = now and tuple(now), before and tuple(before)
