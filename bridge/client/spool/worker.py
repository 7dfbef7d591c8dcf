"""The threads between an outbox and its spool: no other one waits for the disk."""

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

LOOK_SECONDS = 1.0
"""How often what is acknowledged is deleted, and what is written is brought to the disk itself."""

AGAIN_SECONDS = 30.0
"""How long a disk that made trouble is left alone."""


class Spooling:
    """Writes what comes into an outbox to a spool, and reads back what had no room in memory.

    A disk that fails, or does not answer, costs what would have been kept on it, and nothing else.
    """

    def __init__(self, spool: Spool, outbox: Outbox, *, stats: Stats, notices: Notices) -> None:
        """Do nothing yet."""
        self._spool = spool
        self._outbox = outbox
        self._stats = stats
        self._notices = notices
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._written = spool.last
        self._look_at = 0.0
        self._again_at = 0.0
        self._is_damage_known = False
        self._threads = (
            threading.Thread(target=self._run, name="trainbridge-spool", daemon=True),
            threading.Thread(target=self._sync, name="trainbridge-fsync", daemon=True),
        )

    @classmethod
    def beginning(
        cls,
        root: Path,
        limit_bytes: int,
        identity: Identity,
        outbox: Outbox,
        *,
        stats: Stats,
        notices: Notices,
    ) -> "Spooling":
        """Begin the spool of a new session, and say so where others have left something. Raises OSError."""
        spool = Spool(Folder.create(root, identity), limit_bytes)
        left = sum(map(is_abandoned, folders_in(root)))
        if left:
            log.warning(
                "the spool in %s holds %d sessions of processes that are gone; deliver them with: "
                "trainbridge sync %s",
                root, left, root,
            )  # fmt: skip
        return cls(spool, outbox, stats=stats, notices=notices)

    @property
    def root(self) -> Path:
        """The folder that holds this spool beside others."""
        return self._spool.path.parent

    def start(self) -> None:
        """Take from now on what is put into the outbox."""
        self._outbox.attach_spool(self._written, self._wake.set)
        for thread in self._threads:
            thread.start()

    def close(self, timeout: float) -> None:
        """Write what is left; then delete the folder where all is delivered, else let go of it.

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
            self._try()
            self._wake.wait(LOOK_SECONDS)
        self._again_at = 0.0
        self._try()
        self._threads[1].join()
        self._end()

    def _sync(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                self._spool.sync()
            except OSError as error:
                self._trouble(error)

    def _try(self) -> None:
        if time.monotonic() < self._again_at:
            return
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 -- whatever happens here, training and sending go on
            self._trouble(error)
            self._outbox.mark_written(None)
            self._again_at = time.monotonic() + AGAIN_SECONDS

    def _work(self) -> None:
        """Do what there is to do. Raises OSError."""
        self._outbox.mark_written(self._written)
        self._read()
        while messages := self._outbox.unwritten():
            self._spool.append(messages)
            self._written = messages[-1].sequence
            self._outbox.mark_written(self._written)
            while (shed := self._spool.make_room()) is not None:
                self._outbox.apply_spool_shedding(shed.stripped, shed.dropped)
            self._read()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self._spool.mark(self._outbox.acked_through)

    def _read(self) -> None:
        while (missing := self._outbox.next_refill()) is not None:
            self._outbox.refill(self._spool.read(*missing))
            if self._spool.damaged and not self._is_damage_known:
                self._is_damage_known = True
                self._trouble(ValueError("what it holds is damaged, and in part lost"))

    def _end(self) -> None:
        try:
            if self._outbox.is_done:
                self._spool.remove()
            else:
                self._stats.kept = self._outbox.count_written(self._written)
                self._spool.mark(self._outbox.acked_through)
                self._spool.close()
        except OSError as error:
            self._trouble(error)

    def _trouble(self, error: Exception) -> None:
        self._stats.spool_faults += 1
        self._notices.once(
            "spool",
            f"the spool in {self._spool.path} makes trouble, and training goes on without it: {error}",
        )
