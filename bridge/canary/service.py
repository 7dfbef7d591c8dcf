"""One known run after the other, without end or for a while."""

import itertools
import logging
import math
import secrets
import threading
import time

from bridge.canary.checker import Checker, client_of
from bridge.canary.clock import LONGEST_GAP_SECONDS, RunningClock
from bridge.canary.options import CanaryOptions
from bridge.canary.page import Page
from bridge.canary.record import SentRecord
from bridge.canary.run import EPOCH_BATCHES, IMAGES_EVERY, SCALAR, SPLIT, KnownRun
from bridge.canary.stored import check_store
from bridge.client import TrainingSession
from bridge.client.settings import session_prefix
from bridge.protocol import CANARY_CLIENT

log = logging.getLogger("bridge")

BUFFER_BYTES = 16 << 20
CLOSE_SECONDS = 5.0
STOP_SECONDS = 2.0
STORE_ANSWER_SECONDS = 15.0

SETTLE_INTERVAL_SECONDS = 15.0
"""Between two pauses. While batches come, a count that is too low may mean one on its way; in a pause it may not."""

SETTLE_SECONDS = 20.0
"""What a pause may take, beyond twice the time for a verdict; the last one has no end if the canary has none."""

LAST_SETTLE_SECONDS = 2.0
"""The same for a canary with a duration, beyond the time for one verdict."""


def watch(options: CanaryOptions, page: Page, stopping: threading.Event) -> bool:
    """Stream runs and compare them until `stopping` is set, or the duration is over.

    Returns whether nothing was found, and everything could be compared as far as there was time. Raises
    ValueError for an invalid address, OSError for a credential file that cannot be read.
    """
    seconds = options.duration_seconds
    ends_at = math.inf if seconds is None else time.monotonic() + seconds
    name = f"{session_prefix()}canary-{secrets.token_hex(3)}"
    is_settled = True
    for number in itertools.count(1):
        run = CanaryRun(f"{name}-{number:06d}", options, page, stopping, ends_at)
        is_settled = run.run() and is_settled
        if stopping.is_set() or time.monotonic() >= ends_at:
            break
    if not is_settled:
        log.warning(
            "not everything could be compared: what is missing may still be on its way, or the bridge is away"
        )
    return is_settled and not page.findings


class CanaryRun:
    """One run, from its registration to its last comparison, sent in the thread that calls it."""

    def __init__(
        self,
        session_id: str,
        options: CanaryOptions,
        page: Page,
        stopping: threading.Event,
        ends_at: float,
    ) -> None:
        """Open the session; raises what TrainingSession raises."""
        page.runs.inc()
        self._options = options
        self._page = page
        self._stopping = stopping
        self._ends_at = ends_at
        self._epochs = max(1, round(options.run_batches / EPOCH_BATCHES))
        images_every = IMAGES_EVERY if options.images else 0
        self._run = KnownRun(session_id, samples=max(1, options.images), images_every=images_every)
        self._session = TrainingSession(
            options.address,
            session_id=session_id,
            model="canary",
            dataset="known run",
            epochs=self._epochs,
            batches_per_epoch=EPOCH_BATCHES,
            batch_size=self._run.samples,
            client_name=CANARY_CLIENT,
            buffer_bytes=BUFFER_BYTES,
            token=options.token,
            token_file=options.token_file,
            ca_file=options.ca_file,
        )
        self._clock = RunningClock()
        self._record = SentRecord(self._run, self._session, self._clock)
        self._checker = Checker(self._record, page, options)
        self._next_at = time.monotonic()
        self._settle_at = time.monotonic() + SETTLE_INTERVAL_SECONDS

    def run(self) -> bool:
        """Send the run and have it compared; return whether that came to an end."""
        thread = threading.Thread(target=self._checker.run, name="canary-check", daemon=True)
        thread.start()
        try:
            self._send()
            is_settled = self._settle(is_last=True)  # a bridge need not show a session that is over
            self._check_store()
        finally:
            self._checker.finish()
            is_hurried = self._stopping.is_set() or not self._checker.is_up
            self._session.close(STOP_SECONDS if is_hurried else CLOSE_SECONDS)
            thread.join(STOP_SECONDS)
        return is_settled or self._stopping.is_set()

    def _send(self) -> None:
        """Send the run, or as much of it as there is time for; one with a finding ends at its next pause."""
        for epoch in range(1, self._epochs + 1):
            self._send_epoch(epoch)
            if self._is_over():
                return
            if time.monotonic() >= self._settle_at:
                self._settle(is_last=False)
                if not self._checker.is_clean:
                    return
                self._settle_at = time.monotonic() + SETTLE_INTERVAL_SECONDS

    def _settle(self, *, is_last: bool) -> bool:
        """Pause until all that was sent has been compared, or it takes too long; return whether it has."""
        began_at, longest = self._clock.now(), self._longest_pause(is_last=is_last)
        settled = self._checker.pause(is_last=is_last)
        while not settled.wait(0.02):
            self._note_acknowledged()
            seconds = self._clock.now() - began_at
            if self._stopping.is_set() or seconds > longest or self._is_hopeless(seconds):
                break
        self._checker.resume()
        self._note_acknowledged()
        return settled.is_set()

    def _longest_pause(self, *, is_last: bool) -> float:
        """Return what a pause may take, in seconds: with a duration, little more than a verdict does."""
        if self._ends_at == math.inf:
            return math.inf if is_last else 2 * self._options.overdue_seconds + SETTLE_SECONDS
        verdict = self._options.overdue_seconds + LAST_SETTLE_SECONDS
        return verdict if is_last else min(verdict, max(0.0, self._ends_at - time.monotonic()))

    def _is_hopeless(self, seconds: float) -> bool:
        """Return whether a canary with an end need not wait longer for a bridge that is away."""
        has_end = self._ends_at < math.inf
        return has_end and not self._checker.is_up and seconds > self._options.late_seconds

    def _check_store(self) -> None:
        seconds = self._options.store_seconds
        if seconds is not None and self._checker.is_clean:
            client = client_of(self._options, timeout_seconds=STORE_ANSWER_SECONDS)
            findings = check_store(self._record, client, self._stopping, seconds=seconds)
            self._page.report(self._run.session_id, findings)

    def _is_over(self) -> bool:
        """Return whether the run ends here: at the end of the duration, but not before there are images to look for."""
        is_stopped = self._stopping.is_set() or self._session.should_stop
        return is_stopped or (time.monotonic() >= self._ends_at and not self._lacks_images())

    def _lacks_images(self) -> bool:
        looks_for_images = self._options.store_seconds is not None and self._run.images_every
        return bool(looks_for_images) and not self._record.has_sent(self._run.images_every)

    def _send_epoch(self, epoch: int) -> None:
        first = self._run.number(epoch, 0)
        for number in range(first, first + EPOCH_BATCHES):
            self._wait_for_turn()
            if self._is_over():
                break
            self._send_batch(number)
        if not self._stopping.is_set():
            self._record.add_epoch(epoch)
            loss = self._run.epoch_loss(epoch)
            self._session.log_scalars(
                {SCALAR: loss}, epoch=epoch, batch=EPOCH_BATCHES - 1, split=SPLIT
            )
            self._session.log_epoch(epoch, loss=loss, accuracy=0.5)

    def _send_batch(self, number: int) -> None:
        run = self._run
        epoch, batch = run.place(number)
        self._record.add_batch(number)
        self._page.sent.inc()
        self._session.log_batch(
            run.loss(number),
            epoch=epoch,
            batch=batch,
            images=run.images(number) or None,
            predictions=(run.predictions(number), run.confidences(number)),
            ground_truth=run.truths(number),
        )

    def _wait_for_turn(self) -> None:
        """Wait until the next batch is due, and note acknowledgments; a missed turn is not made up for."""
        self._clock.tick()
        while (left := self._next_at - time.monotonic()) > 0 and not self._stopping.is_set():
            self._stopping.wait(min(left, self._note_acknowledged()))
        self._next_at = max(self._next_at, time.monotonic()) + 1 / self._options.batches_per_second

    def _note_acknowledged(self) -> float:
        """Note what has been acknowledged by now; return when to look again, in seconds."""
        self._clock.tick()
        now, waiting = self._clock.now(), self._record.acknowledged
        for sent_at in waiting.see(self._session.stats.batches_acknowledged):
            self._page.acknowledged.inc()
            self._page.ack.observe(now - sent_at)
        age = now - (waiting.oldest_unseen or 0.0)
        return min(LONGEST_GAP_SECONDS / 2, max(0.002, age / 10))
