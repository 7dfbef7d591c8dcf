"""What the canary has sent of one run and when, and what of it has been acknowledged."""

import threading
from collections import defaultdict

from bridge.canary.clock import RunningClock
from bridge.canary.run import SCALAR, KnownRun
from bridge.canary.verdict import Expectation, What
from bridge.client import TrainingSession


class Timeline:
    """When things were sent, and how many of them have been seen."""

    def __init__(self) -> None:
        self.sent_at: list[float] = []
        self._seen = 0

    @property
    def oldest_unseen(self) -> float | None:
        """When the first of those was sent that have not been seen."""
        unseen = self.sent_at[self._seen : self._seen + 1]
        return unseen[0] if unseen else None

    def see(self, total: int) -> list[float]:
        """Return when those were sent that are seen for the first time, now that the first `total` are."""
        new = self.sent_at[self._seen : total]
        self._seen += len(new)
        return new


class SentRecord:
    """One thread adds what it sends, another asks what must be shown; as large as the run, and no larger."""

    def __init__(self, run: KnownRun, session: TrainingSession, clock: RunningClock) -> None:
        self.run = run
        self.clock = clock
        self.session = session
        self._lock = threading.Lock()
        self._values = {what: defaultdict[str, float](float) for what in What}
        self._loss_sums = [0.0]
        self.acknowledged = Timeline()
        self.batches = Timeline()
        self.epochs = Timeline()

    def add_batch(self, number: int) -> None:
        """Note a batch, right before it is sent."""
        with self._lock:
            for what, name, amount in self.run.amounts(number):
                self._values[what][name] += amount
            self._loss_sums.append(self._values[What.LOSS]["sum"])
            self.acknowledged.sent_at.append(self.clock.now())
            self.batches.sent_at.append(self.clock.now())

    def add_epoch(self, epoch: int) -> None:
        """Note an epoch, and the number that goes before it, right before they are sent."""
        with self._lock:
            self._values[What.EPOCH][SCALAR] = self.run.epoch_loss(epoch)
            self.epochs.sent_at.append(self.clock.now())

    def has_sent(self, number: int) -> bool:
        """Return whether a batch has been sent by now."""
        return 1 <= number <= len(self.batches.sent_at)

    def is_beginning(self, losses: int, loss_sum: float) -> bool:
        """Return whether these are exactly the first losses that were sent."""
        return losses < len(self._loss_sums) and loss_sum == self._loss_sums[losses]

    def expectation(self, *, is_quiet: bool) -> Expectation:
        """Return what must be shown now; `is_quiet`: all was acknowledged before the bridge was read."""
        with self._lock:
            values = {what: dict(amounts) for what, amounts in self._values.items()}
            batches, epochs = len(self.batches.sent_at), len(self.epochs.sent_at)
        stats, counts = self.session.stats, self.run.counts
        acknowledged, sent, shed = stats.batches_acknowledged, stats.images_sent, stats.images_shed
        # A refused message may have been an epoch, or had images.
        due_epochs, due_images = (0, 0) if stats.refused else (epochs, sent)
        return Expectation(
            sent=counts(batches=batches, epochs=epochs, images=sent + shed),
            expected=counts(batches=acknowledged, epochs=due_epochs, images=due_images),
            is_quiet=is_quiet,
            refused=stats.refused,
            images_kept=stats.images_kept,
            values=values if is_quiet and acknowledged == batches else None,
        )
