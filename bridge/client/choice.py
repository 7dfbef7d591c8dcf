"""Choose the batches whose images are sent."""

import math
from collections.abc import Iterable
from typing import NamedTuple

FREE_CHOICES = 4
"""How often a window may be given a new highest loss before it must be higher by more."""

STEEP = 1.5
"""By how much more, as a factor."""


class Candidate(NamedTuple):
    """A batch that has images."""

    at: float
    """Monotonic, in seconds."""
    loss: float
    epoch: int


class Chooser:
    """Takes what the bridge's own choice may want, and little else.

    The bridge keeps the batch with the highest loss of each window of time, and the first of each
    epoch. So every batch with a higher loss than all before it in its window is taken at once, since
    holding it back until the window is over would make its numbers late. A loss that rises for a
    whole window long must rise steeply to be taken again and again.
    """

    def __init__(self) -> None:
        """Start before the first window."""
        self._window = -1
        self._highest = -math.inf
        self._chosen = 0
        self._epoch: int | None = None

    def choose(self, candidates: Iterable[Candidate], batches_per_second: float) -> set[int]:
        """Return the places of those whose images are sent; call it with all that is there at once."""
        if batches_per_second <= 0:
            return set()
        best: dict[int, tuple[float, int]] = {}
        chosen: set[int] = set()
        for place, candidate in enumerate(candidates):
            loss = candidate.loss if math.isfinite(candidate.loss) else math.inf
            window = int(candidate.at * batches_per_second) if batches_per_second < 1e6 else place
            if candidate.epoch != self._epoch:
                self._epoch = candidate.epoch
                chosen.add(place)
            if window not in best or loss > best[window][0]:
                best[window] = (loss, place)
        chosen |= {place for window, (loss, place) in best.items() if self._takes(window, loss)}
        return chosen

    def _takes(self, window: int, loss: float) -> bool:
        if window != self._window:
            self._window, self._highest, self._chosen = window, -math.inf, 0
        wanted = self._highest * STEEP if self._chosen >= FREE_CHOICES else self._highest
        if loss <= max(wanted, self._highest):
            return False
        self._highest = loss
        self._chosen += 1
        return True
