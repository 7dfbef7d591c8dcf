"""Chooses the batches whose images are copied and sent."""

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

FREE_CHOICES = 4
"""How many new highest losses a window may send before the next must be steeply higher."""

CHOICES_PER_SECOND = 8
"""The same for long windows, per second."""

STEEP = 1.5
"""What is steeply higher: so many times the distance from the window's lowest loss to its highest."""


class Candidate(NamedTuple):
    """A batch that has images, and its loss."""

    at: float
    """Monotonic, in seconds."""
    loss: float
    epoch: int


class Replaceable(Protocol):
    """Images that wait to be encoded."""

    def discard(self) -> bool:
        """Discard them unless they are being encoded; return whether they were discarded."""


class ImageSampler:
    """Selects what the bridge's own sampler may want, and little else.

    The bridge keeps the batch with the highest loss of each window of time, and the first of each
    epoch. A batch that does not beat its window's highest loss so far can be neither, so it is never
    copied: of n batches in a window, in random order, about ln(n) are. The images that it beats are
    discarded if they still wait. Only those already being encoded are sent in addition to later and
    higher ones, since holding them back until the window ends would delay their numbers; a loss that
    rises throughout a window must rise steeply to be sent again and again.
    """

    def __init__(self) -> None:
        """Start before the first window."""
        self._window: int | None = None
        self._highest = -math.inf
        self._lowest = math.inf
        self._sent = 0
        self._free = FREE_CHOICES
        self._best: Replaceable | None = None
        self._epoch: int | None = None
        self._starts_epoch = self._is_best = False
        """Of the last call of `wants`."""

    def wants(self, candidate: Candidate, batches_per_second: float) -> bool:
        """Return whether the images of a batch are to be copied; call it for each, in order."""
        at, loss, epoch = candidate
        self._starts_epoch = epoch != self._epoch
        if batches_per_second <= 0:
            return False
        self._epoch = epoch
        if batches_per_second == math.inf:
            return True
        window = int(at * batches_per_second)
        if window != self._window:
            self._window, self._sent, self._best = window, 0, None
            self._highest, self._lowest = -math.inf, math.inf
            self._free = max(FREE_CHOICES, int(CHOICES_PER_SECOND / batches_per_second))
        badness = loss if math.isfinite(loss) else math.inf
        self._lowest = min(self._lowest, badness)
        self._is_best = self._beats(badness)
        return self._is_best or self._starts_epoch

    def keep(self, images: Replaceable) -> None:
        """Remember the images of the last wanted batch as the best of its window; discard the best before."""
        if not self._is_best:
            return
        # The first of an epoch is sent, whatever comes after it.
        best, self._best = self._best, None if self._starts_epoch else images
        if best is not None and best.discard():
            self._sent -= 1

    def choose(self, candidates: Iterable[Candidate], batches_per_second: float) -> set[int]:
        """Return the indices of those whose images are sent, of several at once."""
        chosen: dict[int, Candidate] = {}
        for index, candidate in enumerate(candidates):
            if self.wants(candidate, batches_per_second):
                chosen[index] = candidate
                if batches_per_second < math.inf:
                    self.keep(_Chosen(chosen, index))
        self._best = None  # all chosen ones are sent now
        return set(chosen)

    def _beats(self, badness: float) -> bool:
        if badness <= self._highest:
            return False
        spread = self._highest - self._lowest
        if self._sent >= self._free and badness - self._lowest <= STEEP * spread:
            return False
        self._highest = badness
        self._sent += 1
        return True


class _Chosen(NamedTuple):
    """One of those chosen so far."""

    chosen: dict[int, Candidate]
    position: int

    def discard(self) -> bool:
        """Remove it from those chosen."""
        return self.chosen.pop(self.position, None) is not None
