"""A second rank that goes missing, so that the first one hangs as in a collective operation."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

HANG_BATCH = 20
"""Some batches into the epoch: in the middle of training, and not at the end of anything."""


@dataclass(frozen=True, slots=True)
class LostRank:
    """The other rank of a run: it takes part in every all-reduce, until the one of a batch of this epoch."""

    epoch: int
    announce: Callable[[int, int], None]
    """Called with epoch and batch as the run begins to hang."""
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))
    """Where the run waits for it."""

    def all_reduce(self, epoch: int, batch: int) -> None:
        """Return at once while the rank lives; then wait for it, as such an operation does without a timeout.

        Only the thread that calls this waits: the process, its heartbeats and its other threads go on.
        """
        if (epoch, batch) == (self.epoch, HANG_BATCH):
            self.announce(epoch, batch)
            self.meeting.wait()
