"""What training processes have left in a spool, delivered."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.client.calls import StatusCall
from bridge.client.clock import now_ms
from bridge.client.commands import CommandInbox
from bridge.client.delivery.connection import Connection
from bridge.client.delivery.outbox import Outbox
from bridge.client.encoding.encoder import Encoder
from bridge.client.left_out import LeftOut
from bridge.client.settings import Destination
from bridge.client.spool.folder import Folder, InUseError
from bridge.client.spool.spool import Spool
from bridge.client.stats import Notices, Stats
from bridge.protocol import SESSION_ID, Status

BUFFER_BYTES = 64 << 20
UNLIMITED = 1 << 62
LOOK_SECONDS = 0.05
LOOKS = 3
MARK_SECONDS = 1.0
CLOSE_SECONDS = 5.0

SILENT_END = "the training process ended without saying so"

Progress = Callable[[str, int, int], None]
"""Takes a session's id, and how many of how many messages have been dealt with so far."""


class UndeliverableError(Exception):
    """A session cannot be delivered now; nothing of it is lost. The text is for the user."""


class BridgeUnreachableError(UndeliverableError):
    """No bridge answers, so that no other session could be delivered either."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What became of one session; all are numbers of messages."""

    session_id: str
    delivered: int
    """Those that the bridge has acknowledged."""
    refused: int
    """Those that the bridge found invalid; it will never take them."""
    lost: int
    """Those that were damaged or missing, or too large for the bridge."""
    is_lost_uncounted: bool = False
    """At least so many are lost; how many more, nobody knows."""
    kept: Path | None = None
    """Where what was left is kept, since some of it is lost, or since it could not be deleted."""
    removal_error: str = ""
    """Why it could not be deleted, or set aside."""

    @property
    def is_whole(self) -> bool:
        """Tell whether everything has arrived, and nothing is left."""
        return not self.refused and not self.lost and self.kept is None


def deliver(
    path: Path,
    destination: Destination,
    *,
    patience_seconds: float,
    progress: Progress,
    session_id: str | None = None,
) -> SyncResult:
    """Deliver what one session has left in its folder, and delete the folder.

    Where some of it cannot be read, the rest is delivered and the folder is kept under another name.
    `session_id` delivers it as a session of its own: under that name, or, of "", under the one that
    `recovered_id` makes.

    Gives up when nothing has moved for `patience_seconds`. It may be interrupted at any moment: what
    has been delivered by then is not delivered again the next time.

    Raises UndeliverableError; InUseError where the session's process is alive; ValueError where the
    folder is none of a session, or the session_id cannot be one; OSError.
    """
    if session_id and not SESSION_ID.fullmatch(session_id):
        raise ValueError(f"session_id must match {SESSION_ID.pattern}")
    folder = _claimed(path)
    spool = Spool(folder, UNLIMITED)
    try:
        spool.load()
        return _SpoolSender(folder, spool, destination, session_id).deliver(
            patience_seconds, progress
        )
    finally:
        spool.release()


def recovered_id(session_id: str, instance_id: str) -> str:
    """Return the name for what one process has left of a session that another process has gone on with."""
    end = f"-recovered-{instance_id[:8]}"
    return f"{session_id[: 63 - len(end)]}{end}"


def _claimed(path: Path) -> Folder:
    """Take the folder over; a process that only looks whether it may holds it for a moment."""
    for _ in range(LOOKS):
        try:
            return Folder.claim(path)
        except InUseError:
            time.sleep(LOOK_SECONDS)
    return Folder.claim(path)


class _SpoolSender:
    """Takes the messages of one session from its spool to a bridge, as the session itself would."""

    def __init__(
        self, folder: Folder, spool: Spool, destination: Destination, session_id: str | None
    ) -> None:
        identity = replace(folder.identity, is_left_over=True)
        if session_id is not None:
            name = session_id or recovered_id(identity.session_id, identity.instance_id)
            identity = replace(identity, session_id=name)
        self._identity = identity
        self._path = folder.path
        self._spool = spool
        # What the bridge has acknowledged of the session it has not acknowledged under another name.
        self._acknowledged = spool.marked if session_id is None else 0
        self._target = destination.target
        self._stats = Stats()
        self._wake = threading.Event()
        self._mark_at = 0.0
        notices = Notices()
        self._outbox = Outbox(BUFFER_BYTES, self._stats)
        self._connection = Connection(
            destination,
            identity,
            self._outbox,
            CommandInbox(lambda *_: None),  # no training loop is left to carry them out
            stats=self._stats,
            notices=notices,
        )
        self._is_told = False

    def deliver(self, patience_seconds: float, progress: Progress) -> SyncResult:
        """Deliver all of it. Raises UndeliverableError, and OSError where it cannot be read."""
        messages, batches = self._spool.count_after(self._acknowledged)
        is_ended = self._spool.ended or self._spool.is_end_unknown or not self._spool.last
        if messages or not is_ended:
            self._outbox.resume(
                acked_through=self._acknowledged, messages=messages, batches=batches
            )
            self._send(patience_seconds, progress)
        return self._finish()

    def _send(self, patience_seconds: float, progress: Progress) -> None:
        sending = threading.Thread(
            target=self._connection.run, name="trainbridge-send", daemon=True
        )
        self._outbox.attach_spool(self._spool.last, self._wake.set)
        self._connection.skip_backoff()
        sending.start()
        try:
            self._watch(patience_seconds, progress)
        finally:
            self._connection.stop()
            sending.join(CLOSE_SECONDS)
            self._spool.mark(self._outbox.acked_through)

    def _watch(self, patience_seconds: float, progress: Progress) -> None:
        """Hand on what is read, until all is delivered. Raises UndeliverableError, OSError."""
        moved, moved_at = -1, time.monotonic()
        while not self._outbox.is_done:
            self._wake.clear()
            self._read()
            done = self._stats.messages - self._stats.unacknowledged
            if done != moved:
                moved, moved_at = done, time.monotonic()
                progress(self._identity.session_id, done, self._stats.messages)
            self._check(time.monotonic() - moved_at > patience_seconds)
            if self._stats.connections and not self._is_told:
                self._tell_end()
            self._wake.wait(LOOK_SECONDS)

    def _read(self) -> None:
        while (missing := self._outbox.next_refill()) is not None:
            self._outbox.refill(self._spool.read(*missing))
        if time.monotonic() >= self._mark_at:
            self._mark_at = time.monotonic() + MARK_SECONDS
            self._spool.mark(self._outbox.acked_through)

    def _tell_end(self) -> None:
        """Say that training is over, where the process itself could not; nothing comes after that.

        Only now, since the bridge may have more than is left here: the number must be higher than all.
        """
        self._is_told = True
        if not self._spool.ended and not self._spool.is_end_unknown:
            last = max(self._spool.last, self._outbox.acked_through)
            encoder = Encoder(self._identity.config, LeftOut(), last=last)
            end = StatusCall(0.0, Status.FAILED, SILENT_END)
            self._outbox.put([encoder.status(end, now_ms())])
        self._outbox.finish()

    def _check(self, is_too_long: bool) -> None:  # noqa: FBT001
        failure = self._connection.failure
        if failure is not None and failure.is_refusal:
            raise UndeliverableError(f"the bridge at {self._target} refuses it: {failure.reason}")
        if is_too_long and failure is not None:
            raise BridgeUnreachableError(f"no bridge at {self._target}: {failure.reason}")
        if is_too_long:
            raise UndeliverableError(f"the bridge at {self._target} takes nothing any more")

    def _finish(self) -> SyncResult:
        """Delete what has been delivered; keep it, under another name, where some of it is lost."""
        stats = self._stats
        lost = self._spool.lost + stats.dropped
        kept, removal_error = None, ""
        try:
            if lost:
                kept = self._spool.set_aside()
            else:
                self._spool.remove()
        except OSError as error:
            kept, removal_error = self._path, str(error)
        return SyncResult(
            self._identity.session_id,
            stats.acknowledged,
            stats.refused,
            lost,
            self._spool.is_lost_uncounted,
            kept,
            removal_error,
        )
