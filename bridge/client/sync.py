"""What training processes have left in a spool, delivered."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bridge.client.capture.call_queue import StatusCall
from bridge.client.connection import Connection
from bridge.client.encode import Encoder
from bridge.client.left_out import LeftOut
from bridge.client.orders import Orders
from bridge.client.outbox import Outbox
from bridge.client.settings import Destination
from bridge.client.spool.folder import Folder, InUseError
from bridge.client.spool.spool import Spool
from bridge.client.spool.spooling import Spooling
from bridge.client.stats import Notices, Stats
from bridge.client.words import Status

BUFFER_BYTES = 64 << 20
UNLIMITED = 1 << 62
LOOK_SECONDS = 0.05
LOOKS = 3
CLOSE_SECONDS = 5.0

SILENT_END = "the training process ended without saying so"

Progress = Callable[[str, int, int], None]
"""Takes a session's id, and how many of how many messages have been dealt with so far."""


class UndeliverableError(Exception):
    """A session cannot be delivered now; nothing of it is lost. The text is for the user."""


class AbsentError(UndeliverableError):
    """No bridge answers, so that no other session could be delivered either."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one session; all are numbers of messages."""

    session_id: str
    delivered: int
    refused: int
    """Those that the bridge found invalid; it will never take them."""
    lost: int
    """Those that were damaged, or too large for the bridge."""

    @property
    def is_whole(self) -> bool:
        """Tell whether everything has arrived."""
        return not self.refused and not self.lost


def deliver(
    path: Path, destination: Destination, *, patience_seconds: float, progress: Progress
) -> Delivery:
    """Deliver what one session has left in its folder, and delete the folder.

    Gives up when nothing has moved for `patience_seconds`. It may be interrupted at any moment: what
    has been delivered by then is not delivered again the next time.

    Raises UndeliverableError; InUseError where the session's process is alive; ValueError where the
    folder is none of a session; OSError.
    """
    folder = _claimed(path)
    spool = Spool(folder, UNLIMITED)
    try:
        spool.load()
        return _Courier(folder, spool, destination).deliver(patience_seconds, progress)
    finally:
        spool.release()


def _claimed(path: Path) -> Folder:
    """Take the folder over; a process that only looks whether it may holds it for a moment."""
    for _ in range(LOOKS):
        try:
            return Folder.claim(path)
        except InUseError:
            time.sleep(LOOK_SECONDS)
    return Folder.claim(path)


class _Courier:
    """Takes the messages of one session from its spool to a bridge, as the session itself would."""

    def __init__(self, folder: Folder, spool: Spool, destination: Destination) -> None:
        self._identity = folder.identity
        self._spool = spool
        self._target = destination.target
        self._stats = Stats()
        notices = Notices()
        self._outbox = Outbox(BUFFER_BYTES, self._stats)
        self._spooling = Spooling(spool, self._outbox, stats=self._stats, notices=notices)
        self._connection = Connection(
            destination,
            self._identity,
            self._outbox,
            Orders(lambda *_: None),  # nobody is left to obey
            stats=self._stats,
            notices=notices,
        )
        self._is_told = False

    def deliver(self, patience_seconds: float, progress: Progress) -> Delivery:
        """Deliver all of it. Raises UndeliverableError."""
        messages, batches = self._spool.unmarked()
        self._outbox.resume(acknowledged=self._spool.marked, messages=messages, batches=batches)
        if not messages and (self._spool.ended or not self._spool.last):
            self._spool.remove()
            return self._delivery()
        sending = threading.Thread(
            target=self._connection.run, name="trainbridge-send", daemon=True
        )
        self._spooling.start()
        self._connection.hurry()
        sending.start()
        try:
            self._watch(patience_seconds, progress)
        finally:
            self._connection.stop()
            sending.join(CLOSE_SECONDS)
            self._spooling.close(CLOSE_SECONDS)
        return self._delivery()

    def _watch(self, patience_seconds: float, progress: Progress) -> None:
        """Wait until all is delivered. Raises UndeliverableError."""
        moved, moved_at = -1, time.monotonic()
        while not self._outbox.is_done:
            done = self._stats.messages - self._stats.unacknowledged
            if done != moved:
                moved, moved_at = done, time.monotonic()
                progress(self._identity.session_id, done, self._stats.messages)
            self._check(time.monotonic() - moved_at > patience_seconds)
            if self._stats.connections and not self._is_told:
                self._tell_end()
            time.sleep(LOOK_SECONDS)

    def _tell_end(self) -> None:
        """Say that training is over, where the process itself could not; nothing comes after that.

        Only now, since the bridge may have more than is left here: the number must be higher than all.
        """
        self._is_told = True
        if not self._spool.ended:
            last = max(self._spool.last, self._outbox.acknowledged)
            encoder = Encoder(self._identity.plan, LeftOut(), last=last)
            end = StatusCall(0.0, Status.FAILED, SILENT_END)
            self._outbox.put([encoder.status(end, time.time_ns() // 1_000_000)])
        self._outbox.finish()

    def _check(self, is_too_long: bool) -> None:  # noqa: FBT001
        trouble = self._connection.trouble
        if trouble is not None and trouble.is_refusal:
            raise UndeliverableError(f"the bridge at {self._target} refuses it: {trouble.reason}")
        if is_too_long and trouble is not None:
            raise AbsentError(f"no bridge answers at {self._target}: {trouble.reason}")
        if is_too_long:
            raise UndeliverableError(f"the bridge at {self._target} takes nothing any more")

    def _delivery(self) -> Delivery:
        stats = self._stats
        lost = stats.dropped + self._spool.damaged
        return Delivery(self._identity.session_id, stats.acknowledged, stats.refused, lost)
