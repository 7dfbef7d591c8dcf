"""The canary's own books of one run: what it said, when, and what has been acknowledged of it."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from bridge.canary.run import Cell, Sample, loss_of
from bridge.canary.verdict import Account, Values, What, is_sum
from bridge.client import Stats


class Session(Protocol):
    """What the SDK knows of the deliveries of a run."""

    @property
    def stats(self) -> Stats:
        """What has been sent, acknowledged and lost so far."""

    def flush(self, timeout: float, /) -> int:
        """Return how many messages are not acknowledged after so many seconds."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a run has come."""

    batches: int
    epochs: int


@dataclass(slots=True)
class Waiting:
    """When things were said that have not been noticed yet, in their order."""

    times: deque[float] = field(default_factory=deque)
    noticed: int = 0

    @property
    def oldest(self) -> float | None:
        """When the first of them was said."""
        try:
            return self.times[0]
        except IndexError:
            return None

    def take(self, total: int) -> list[float]:
        """Return when those were said that are noticed now, `total` being all of them so far."""
        taken = [self.times.popleft() for _ in range(min(total - self.noticed, len(self.times)))]
        self.noticed += len(taken)
        return taken


class Books:
    """One thread says things, others ask what is known of them; as large as the run, and no larger."""

    def __init__(self, session: Session, *, samples: int) -> None:
        """Start before the first batch; each will have so many samples."""
        self._session = session
        self._samples = samples
        self._sums = [0.0]
        self._cells: dict[Cell, int] = {}
        self._epochs = 0
        self._epoch_has_ended = False
        """Nothing was said since an epoch; until then a bridge may wait with the choice of images."""
        self.said_at: list[float] = []
        """When each batch was said; monotonic."""
        self.unacknowledged = Waiting()
        self.unseen_batches = Waiting()
        self.unseen_epochs = Waiting()

    @property
    def mark(self) -> Mark:
        """How much has been said so far."""
        return Mark(len(self.said_at), self._epochs)

    @property
    def refused(self) -> int:
        """Messages that the bridge has found invalid."""
        return self._session.stats.refused

    def batch(self, samples: list[Sample]) -> None:
        """Note a batch, right before it is said."""
        now = time.monotonic()
        self._epoch_has_ended = False
        self._sums.append(self._sums[-1] + loss_of(len(self.said_at)))
        for sample in samples:
            cell = str(sample.true_class), str(sample.predicted_class)
            self._cells[cell] = self._cells.get(cell, 0) + 1
        self.unacknowledged.times.append(now)
        self.unseen_batches.times.append(now)
        self.said_at.append(now)

    def epoch(self) -> None:
        """Note an epoch, right before it is said."""
        self.unseen_epochs.times.append(time.monotonic())
        self._epochs += 1
        self._epoch_has_ended = True

    def is_beginning(self, losses: int, loss_sum: float) -> bool:
        """Tell whether these are just the first losses that were said."""
        return losses < len(self._sums) and is_sum(loss_sum, self._sums[losses])

    def account(self) -> Account:
        """Return what is known at this moment.

        What is said is counted first: if it is still the same later, nothing was said in between.
        """
        mark, has_ended = self.mark, self._epoch_has_ended
        batches, epochs = mark.batches, mark.epochs
        values = Values(self._sums[batches], dict(self._cells))
        is_quiet = not self._session.flush(0.0)
        stats = self._session.stats
        acknowledged = stats.batches_acknowledged
        is_whole = not stats.refused  # else it might have been an epoch, or images
        return Account(
            said={
                What.BATCH: batches,
                What.LOSS: batches,
                What.EPOCH: epochs,
                What.PREDICTION: batches * self._samples,
                What.IMAGE: stats.images_sent + stats.images_shed,
            },
            owed={
                What.BATCH: acknowledged,
                What.LOSS: acknowledged,
                What.EPOCH: epochs if is_whole else 0,
                What.PREDICTION: acknowledged * self._samples,
                What.IMAGE: stats.images_sent if is_whole and has_ended else 0,
            },
            is_quiet=is_quiet,
            images_kept=stats.images_kept,
            values=values if is_quiet and acknowledged == batches else None,
        )
