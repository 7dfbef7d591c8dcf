"""One known run after the other, for ever or for a while."""

import itertools
import logging
import math
import secrets
import threading
import time
from dataclasses import dataclass

from bridge.canary.checker import Inspection, Patience
from bridge.canary.page import Page
from bridge.canary.record import Books
from bridge.canary.run import EPOCH_BATCHES
from bridge.canary.sender import Pace, Sender
from bridge.canary.shown import Reader
from bridge.client import TrainingSession

log = logging.getLogger("bridge")

PREFIX = "canary-"
"""What the names of all sessions of all canaries begin with."""

OVERDUE_FACTOR = 3
"""What is not there after so many times the time after which it is late is missing."""

BUFFER_BYTES = 16 << 20
CLOSE_SECONDS = 5.0
STOP_SECONDS = 2.0
SETTLE_SECONDS = 20.0
"""Beyond twice the time for a verdict, for the last comparison of a canary that is to end by itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one canary does."""

    address: str = ""
    """Of the bridge's gRPC door, as the SDK takes it."""
    bridge_url: str = "http://127.0.0.1:8080"
    batches_per_second: float = 1.0
    images: int = 1
    run_batches: int = 600
    late_seconds: float = 5.0
    look_seconds: float = 2.0
    duration_seconds: float | None = None
    """None: for ever."""

    @property
    def epochs(self) -> int:
        """Whole epochs of a run."""
        return max(1, round(self.run_batches / EPOCH_BATCHES))


def watch(plan: Plan, page: Page, stopping: threading.Event) -> bool:
    """Stream runs and compare them until `stopping` is set, or the plan's time is over.

    Returns whether nothing was found, and everything could be compared as far as there was time.

    Raises ValueError for an address that is none, OSError for a credential file that cannot be read.
    """
    seconds = plan.duration_seconds
    ends_at = None if seconds is None else time.monotonic() + seconds
    name = PREFIX + secrets.token_hex(3)
    is_settled = True
    for number in itertools.count(1):
        run = Round(f"{name}-{number:06d}", plan, page, stopping, ends_at)
        is_settled = run.run() and is_settled
        if stopping.is_set() or (ends_at is not None and time.monotonic() >= ends_at):
            break
    return is_settled and not page.findings


class Round:
    """One run, from its registration to its last comparison."""

    def __init__(
        self,
        session_id: str,
        plan: Plan,
        page: Page,
        stopping: threading.Event,
        ends_at: float | None,
    ) -> None:
        """Open the session; raises what TrainingSession raises."""
        page.runs.inc()
        patience = Patience(
            plan.look_seconds, plan.late_seconds, plan.late_seconds * OVERDUE_FACTOR
        )
        pace = Pace(
            epochs=plan.epochs,
            batches_per_second=plan.batches_per_second,
            images=plan.images,
            patience_seconds=patience.overdue_seconds + 2 * plan.look_seconds,
            ends_at=ends_at,
        )
        session = TrainingSession(
            plan.address,
            session_id=session_id,
            model="canary",
            dataset="known run",
            epochs=plan.epochs,
            batches_per_epoch=EPOCH_BATCHES,
            batch_size=pace.samples,
            client_name="trainbridge-canary",
            buffer_bytes=BUFFER_BYTES,
        )
        books = Books(session, samples=pace.samples)
        self._session = session
        self._inspection = Inspection(
            session_id,
            books,
            Reader(plan.bridge_url),
            page,
            samples=pace.samples,
            patience=patience,
        )
        self._sender = Sender(session, books, self._inspection, page, pace, stopping)
        self._stopping = stopping
        self._settle_seconds = (
            math.inf if ends_at is None else 2 * patience.overdue_seconds + SETTLE_SECONDS
        )

    def run(self) -> bool:
        """Say the run and have it compared; return whether there was an end to that."""
        thread = threading.Thread(target=self._inspection.run, name="canary-look", daemon=True)
        thread.start()
        try:
            self._sender.run()
            # Before the session ends: a bridge need not show one that is over.
            is_settled = self._sender.settle(self._settle_seconds, is_last=True)
        finally:
            self._inspection.finish()
            self._session.close(STOP_SECONDS if self._stopping.is_set() else CLOSE_SECONDS)
            thread.join(STOP_SECONDS)
        return is_settled or self._stopping.is_set()
