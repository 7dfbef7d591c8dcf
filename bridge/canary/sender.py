"""Say a known run, batch after batch, and let it be compared now and then."""

import threading
import time
from dataclasses import dataclass

from bridge.canary.checker import Inspection
from bridge.canary.page import Page
from bridge.canary.record import Books
from bridge.canary.run import (
    EPOCH_BATCHES,
    Place,
    epoch_loss_of,
    has_images,
    image_of,
    loss_of,
    sample_of,
)
from bridge.client import TrainingSession

BREATH_SECONDS = 15.0
"""So often sending pauses at the end of an epoch, until everything so far has been compared.

While batches come, a count that is too low by one may mean one on its way; when none come it may not.
"""

TICK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run is said."""

    epochs: int
    batches_per_second: float
    images: int
    """In each batch that has any."""
    patience_seconds: float
    """So long a pause to compare lasts at most."""
    ends_at: float | None = None
    """When to stop before the run is whole; monotonic."""

    @property
    def samples(self) -> int:
        """Predictions in each batch."""
        return max(1, self.images)


class Sender:
    """Says one run in the thread that calls it."""

    def __init__(
        self,
        session: TrainingSession,
        books: Books,
        inspection: Inspection,
        page: Page,
        pace: Pace,
        stopping: threading.Event,
    ) -> None:
        """Say nothing yet; `stopping` ends everything at once."""
        self._session = session
        self._books = books
        self._inspection = inspection
        self._page = page
        self._pace = pace
        self._stopping = stopping
        self._next_at = time.monotonic()
        self._breath_at = time.monotonic() + BREATH_SECONDS

    def run(self) -> None:
        """Say the run, or as much of it as there is time for; a run with a finding ends at its next pause."""
        for epoch in range(self._pace.epochs):
            self._say_epoch(epoch)
            if self._is_over():
                return
            if time.monotonic() >= self._breath_at:
                self.settle(self._pace.patience_seconds, is_last=False)
                if not self._inspection.is_clean:
                    return
                self._breath_at = time.monotonic() + BREATH_SECONDS

    def settle(self, seconds: float, *, is_last: bool) -> bool:
        """Wait until all that was said has been compared, or for so long; return whether it has."""
        deadline = time.monotonic() + seconds
        self._inspection.hurry(is_last=is_last)
        while not (is_settled := self._inspection.is_settled) and time.monotonic() < deadline:
            self._note_acknowledged()
            if self._stopping.wait(TICK_SECONDS):
                break
        self._inspection.take_time()
        self._note_acknowledged()
        return is_settled

    def _is_over(self) -> bool:
        ends_at = self._pace.ends_at
        is_late = ends_at is not None and time.monotonic() >= ends_at
        return is_late or self._stopping.is_set() or self._session.should_stop

    def _say_epoch(self, epoch: int) -> None:
        for batch in range(EPOCH_BATCHES):
            self._rest()
            if self._is_over():
                break
            self._say_batch(epoch, batch)
        if not self._stopping.is_set():
            self._books.epoch()
            self._session.log_epoch(epoch, loss=epoch_loss_of(epoch), accuracy=0.5)

    def _say_batch(self, epoch: int, batch: int) -> None:
        number = epoch * EPOCH_BATCHES + batch
        samples = [sample_of(number, position) for position in range(self._pace.samples)]
        count = self._pace.images if has_images(number) else 0
        places = [Place(epoch, batch, position) for position in range(count)]
        images = [image_of(self._session.session_id, place) for place in places]
        self._books.batch(samples)
        self._page.sent.inc()
        self._session.log_batch(
            loss_of(number),
            epoch=epoch,
            batch=batch,
            images=images or None,
            predictions=[(sample.predicted_class, sample.confidence) for sample in samples],
            ground_truth=[sample.true_class for sample in samples],
        )

    def _rest(self) -> None:
        """Wait for the next batch's turn, and note acknowledgments; what was overslept is not made up for."""
        while (left := self._next_at - time.monotonic()) > 0 and not self._stopping.is_set():
            self._stopping.wait(min(left, self._note_acknowledged()))
        self._next_at = max(self._next_at, time.monotonic()) + 1 / self._pace.batches_per_second

    def _note_acknowledged(self) -> float:
        """Note what has been acknowledged by now; return when to look again, in seconds."""
        acknowledged = self._session.stats.batches_acknowledged
        now = time.monotonic()
        for said_at in self._books.unacknowledged.take(acknowledged):
            self._page.acknowledged.inc()
            self._page.ack.observe(now - said_at)
        oldest = self._books.unacknowledged.oldest
        return 1.0 if oldest is None else min(1.0, max(0.002, (now - oldest) / 10))
