"""Choose the batches whose images are copied and sent."""

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

FREE_CHOICES = 4
"""How often a window may send a new highest loss before it must be higher by more."""

CHOICES_PER_SECOND = 8
"""The same for long windows."""

STEEP = 1.5
"""By how much more: as a factor of the distance from the window's lowest loss to its highest."""


class Candidate(NamedTuple):
    """A batch that has images, and its loss."""

    at: float
    """Monotonic, in seconds."""
    loss: float
    epoch: int


class Replaceable(Protocol):
    """Images that wait to be encoded."""

    def discard(self) -> bool:
        """Let go of them, unless they are being encoded already; return whether they were let go of."""


class ImageSampler:
    """Takes what the bridge's own sampler may want, and little else.

    The bridge keeps the batch with the highest loss of each window of time, and the first of each
    epoch. A batch that does not beat its window's highest loss so far can be neither, so it is never
    copied: of n batches in a window, in random order, about ln(n) are. The one that it beats is let go
    of, where it still waits. Only what was already being encoded is sent beside a later and higher one,
    since holding it back until the window is over would make its numbers late; a loss that rises for a
    whole window must rise steeply to be sent again and again.
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
        """What was true of the batch that was wanted last."""

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
        """Hold on to the images of the batch that was wanted last, in place of its window's best before."""
        if not self._is_best:
            return
        # The first of an epoch is sent, whatever comes after it.
        best, self._best = self._best, None if self._starts_epoch else images
        if best is not None and best.discard():
            self._sent -= 1

    def choose(self, candidates: Iterable[Candidate], batches_per_second: float) -> set[int]:
        """Return the places of those whose images are sent, where several are there at once."""
        chosen: dict[int, Candidate] = {}
        for place, candidate in enumerate(candidates):
            if self.wants(candidate, batches_per_second):
                chosen[place] = candidate
                if batches_per_second < math.inf:
                    self.keep(_Chosen(chosen, place))
        self._best = None  # whatever is chosen is sent now
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
    """A place among those chosen so far."""

    chosen: dict[int, Candidate]
    place: int

    def discard(self) -> bool:
        """Choose it no longer."""
        return self.chosen.pop(self.place, None) is not None
