"""Downsamples a curve of unlimited length to a fixed number of points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(slots=True)
class Bin:
    """Consecutive values, drawn as one point."""

    start: float
    """When its first value arrived, in seconds since 1970."""
    count: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    nonfinite: int = 0
    epoch: int = 0
    """Of its worst value: the highest, or one that is not finite."""
    batch: int = 0
    worst_at: float = 0.0
    """When its worst value arrived."""
    images: int | None = None
    """How many images came with its worst value; None: not known."""
    first_epoch: int = 0
    """Of its first value."""
    first_batch: int = 0
    first_step: int | None = None
    """The training step of its first value; None: not reported."""
    step: int | None = None
    """Of its worst value."""

    @property
    def mean(self) -> float:
        """The mean of the finite values; NaN if there were none."""
        return self.total / self.count if self.count else math.nan


class Curve:
    """Keeps every extreme of an endless series in at most `size` bins, each of equally many values."""

    __slots__ = ("_size", "_stride", "bins")

    def __init__(self, size: int = 240) -> None:
        """Start empty; `size` is even."""
        self._size = size
        self._stride = 1
        self.bins: list[Bin] = []

    def add(
        self,
        value: float,
        *,
        at: float,
        epoch: int,
        batch: int,
        images: int | None = None,
        step: int | None = None,
    ) -> None:
        """Add the value of a batch, how many images came with it, and the training step that it is."""
        bins = self.bins
        if not bins or bins[-1].count + bins[-1].nonfinite >= self._stride:
            if len(bins) == self._size:
                self._halve()
                bins = self.bins
            bins.append(Bin(at, first_epoch=epoch, first_batch=batch, first_step=step))
        last = bins[-1]
        if not math.isfinite(value):
            last.nonfinite += 1
            last.epoch, last.batch, last.worst_at, last.images = epoch, batch, at, images
            last.step = step
            return
        last.count += 1
        last.total += value
        last.low = min(last.low, value)
        if value > last.high:
            last.high = value
            if not last.nonfinite:
                last.epoch, last.batch, last.worst_at, last.images = epoch, batch, at, images
                last.step = step

    def snapshot(self) -> dict[str, Any]:
        """Return what `restored` takes, ready for JSON."""
        rows = [
            [
                b.start,
                b.count,
                b.total,
                *((b.low, b.high) if b.count else (0.0, 0.0)),
                b.nonfinite,
                b.epoch,
                b.batch,
            ]
            for b in self.bins
        ]
        places = [
            [b.worst_at, b.images, b.first_epoch, b.first_batch, *_steps_of(b)] for b in self.bins
        ]
        return {"size": self._size, "stride": self._stride, "bins": rows, "places": places}

    @classmethod
    def restored(cls, snapshot: dict[str, Any]) -> "Curve":
        """Return the curve of a snapshot."""
        curve = cls(snapshot["size"])
        curve._stride = snapshot["stride"]
        rows = snapshot["bins"]
        for row, place in zip(rows, snapshot.get("places") or _places_of(rows), strict=True):
            start, count, total, *bounds, nonfinite, epoch, batch = row
            low, high = bounds if count else (math.inf, -math.inf)
            curve.bins.append(Bin(start, count, total, low, high, nonfinite, epoch, batch, *place))
        return curve

    def frozen(self) -> tuple[Bin, ...]:
        """Return copies of the bins as they are now; only the last one still changes."""
        return (*self.bins[:-1], replace(self.bins[-1])) if self.bins else ()

    def _halve(self) -> None:
        self._stride *= 2
        self.bins = [joined(a, b) for a, b in zip(self.bins[::2], self.bins[1::2], strict=True)]


def joined(a: Bin, b: Bin) -> Bin:
    """Return two neighbours as one."""
    worst = max(a, b, key=lambda part: (part.nonfinite > 0, part.high))
    return Bin(
        a.start,
        a.count + b.count,
        a.total + b.total,
        min(a.low, b.low),
        max(a.high, b.high),
        a.nonfinite + b.nonfinite,
        worst.epoch,
        worst.batch,
        worst.worst_at,
        worst.images,
        a.first_epoch,
        a.first_batch,
        a.first_step,
        worst.step,
    )


def _steps_of(bin_: Bin) -> tuple[int | None, ...]:
    """Return the last fields of a bin, which those without steps are kept without."""
    has_steps = bin_.first_step is not None or bin_.step is not None
    return (bin_.first_step, bin_.step) if has_steps else ()


def _places_of(rows: Sequence[Sequence[Any]]) -> list[tuple[float, None, int, int]]:
    """Return what older versions did not write: a bin's first batch is taken for its worst one."""
    return [(row[0], None, row[-2], row[-1]) for row in rows]
