"""The threads between an outbox and its spool: no other thread waits for the disk."""

import logging
import threading
import time
from pathlib import Path

from bridge.client.delivery.outbox import Outbox
from bridge.client.identity import Identity
from bridge.client.spool.folder import Folder, folders_in, is_abandoned
from bridge.client.spool.spool import Spool
from bridge.client.stats import Notices, Stats

log = logging.getLogger("trainbridge")

HOUSEKEEPING_SECONDS = 1.0
"""How often what is acknowledged is deleted, and what is written is flushed to the disk itself."""

RETRY_SECONDS = 30.0
"""How long a failed disk is left alone."""


class SpoolWorker:
    """Writes what is put into an outbox to a spool, and reads back what had no room in memory.

    A disk that fails, or hangs, costs what would have been kept on it, and nothing else.
    """

    def __init__(self, spool: Spool, outbox: Outbox, *, stats: Stats, notices: Notices) -> None:
        """Do nothing yet."""
        self._spool = spool
        self._outbox = outbox
        self._stats = stats
        self._notices = notices
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._written_through = spool.last
        self._acknowledge_at = 0.0
        self._retry_at = 0.0
        self._is_damage_reported = False
        self._threads = (
            threading.Thread(target=self._run, name="trainbridge-spool", daemon=True),
            threading.Thread(target=self._sync, name="trainbridge-fsync", daemon=True),
        )

    @classmethod
    def create(
        cls,
        root: Path,
        limit_bytes: int,
        identity: Identity,
        outbox: Outbox,
        *,
        stats: Stats,
        notices: Notices,
    ) -> "SpoolWorker":
        """Create the spool of a new session; log where other processes have left theirs. Raises OSError."""
        spool = Spool(Folder.create(root, identity), limit_bytes)
        left = sum(map(is_abandoned, folders_in(root)))
        if left:
            log.warning(
                "the spool in %s holds %s gone; deliver %s with: trainbridge sync %s",
                root,
                "a session of a process that is"
                if left == 1
                else f"{left} sessions of processes that are",
                "it" if left == 1 else "them",
                root,
            )
        return cls(spool, outbox, stats=stats, notices=notices)

    @property
    def path(self) -> Path:
        """The folder of this spool."""
        return self._spool.path

    @property
    def root(self) -> Path:
        """The folder of this spool and others."""
        return self._spool.path.parent

    def start(self) -> None:
        """Begin to write what is put into the outbox."""
        self._outbox.attach_spool(self._written_through, self._wake.set)
        for thread in self._threads:
            thread.start()

    def close(self, timeout: float) -> None:
        """Write what is left; then delete the folder where all is delivered, otherwise leave it to `sync`.

        Waits for `timeout` seconds at most; what the disk has not taken by then may be lost.
        """
        deadline = time.monotonic() + timeout
        self._closing.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def after_fork_in_child(self) -> None:
        """Touch nothing any more: this is a copy in a child process."""
        self._spool.release()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            self._run_once()
            self._wake.wait(HOUSEKEEPING_SECONDS)
        self._retry_at = 0.0
        self._run_once()
        self._threads[1].join()
        self._finish()

    def _sync(self) -> None:
        while not self._closing.wait(HOUSEKEEPING_SECONDS):
            try:
                self._spool.sync()
            except OSError as error:
                self._report_fault(error)

    def _run_once(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 -- whatever happens here, training and sending go on
            self._report_fault(error)
            self._outbox.mark_written(None)
            self._retry_at = time.monotonic() + RETRY_SECONDS

    def _work(self) -> None:
        """Write, shed and read back until nothing is left to do. Raises OSError."""
        self._outbox.mark_written(self._written_through)
        self._refill()
        while messages := self._outbox.unwritten():
            self._spool.append(messages)
            self._written_through = messages[-1].sequence
            self._outbox.mark_written(self._written_through)
            while (shed := self._spool.make_room()) is not None:
                self._outbox.apply_spool_shedding(shed.stripped, shed.dropped)
            self._refill()
        if time.monotonic() >= self._acknowledge_at:
            self._acknowledge_at = time.monotonic() + HOUSEKEEPING_SECONDS
            self._spool.acknowledge(self._outbox.acked_through)

    def _refill(self) -> None:
        while (refill := self._outbox.next_refill()) is not None:
            self._outbox.refill(self._spool.read(*refill))
            if self._spool.damaged and not self._is_damage_reported:
                self._is_damage_reported = True
                self._report_fault(ValueError("some of it is damaged and lost"))

    def _finish(self) -> None:
        try:
            if self._outbox.is_done:
                self._spool.remove()
            else:
                self._stats.kept = self._outbox.count_written(self._written_through)
                self._spool.acknowledge(self._outbox.acked_through)
                self._spool.close()
        except OSError as error:
            self._report_fault(error)

    def _report_fault(self, error: Exception) -> None:
        self._stats.spool_faults += 1
        self._notices.log_once(
            "spool",
            f"the spool in {self._spool.path} failed, and training goes on without it: {error}",
        )
