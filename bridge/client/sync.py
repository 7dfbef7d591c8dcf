"""Deliver what training processes have left in a spool."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.client.calls import StatusCall
from bridge.client.clock import now_ms
from bridge.client.commands import CommandInbox
from bridge.client.delivery.connection import Connection
from bridge.client.delivery.failure import ConnectionFailure
from bridge.client.delivery.outbox import Outbox
from bridge.client.encoding.encoder import Encoder
from bridge.client.launch.endings_left import end_left_in
from bridge.client.left_out import LeftOut
from bridge.client.settings import Destination
from bridge.client.spool.folder import Folder, InUseError
from bridge.client.spool.spool import Spool
from bridge.client.stats import Notices, Stats
from bridge.protocol import SESSION_ID, Status

BUFFER_BYTES = 64 << 20
UNLIMITED = 1 << 62
POLL_SECONDS = 0.05
CLAIM_ATTEMPTS = 3
ACKNOWLEDGE_SECONDS = 1.0
"""How often the spool records what is acknowledged, in case this is interrupted."""

CLOSE_SECONDS = 5.0

SILENT_END = "the training process ended without saying so"

Progress = Callable[[str, int, int], None]
"""Takes a session's id, and how many of how many messages have been delivered or refused so far."""

Waiting = Callable[[str], None]
"""Takes why nothing can be delivered for now, once that has lasted a moment; each reason once."""

STALLED_SECONDS = 1.0
"""How long nothing moves before it is said why."""


class UndeliverableError(Exception):
    """A session cannot be delivered now; nothing of it is lost. The message is for the user."""


class NotAllowedError(UndeliverableError):
    """The bridge knows who this process is, and does not let it deliver this session."""


class BridgeUnreachableError(UndeliverableError):
    """No bridge answers, or none lets this process in, so no other session could be delivered either."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What became of one session, as numbers of messages."""

    session_id: str
    delivered: int
    """Acknowledged by the bridge."""
    refused: int
    """Found invalid by the bridge, which will never take them."""
    lost: int
    """Damaged, missing, or too large for the bridge."""
    is_lost_uncounted: bool = False
    """More than `lost` may be, and nothing says how many."""
    kept: Path | None = None
    """Where the spool is kept, because some of it is lost, or because it could not be deleted."""
    removal_error: str = ""
    """Why it could not be deleted, or renamed."""

    @property
    def is_whole(self) -> bool:
        """Whether everything has arrived, and nothing is left."""
        return not self.refused and not self.lost and self.kept is None


def deliver(
    path: Path,
    destination: Destination,
    *,
    patience_seconds: float,
    progress: Progress,
    waiting: Waiting = lambda _reason: None,
    session_id: str | None = None,
) -> SyncResult:
    """Deliver what one session has left in its folder, and delete the folder.

    Where some of it is unreadable, the rest is delivered and the folder is kept under another name.
    `session_id` delivers it as a session of its own: under that name, or, if that is "", under the one
    that `recovered_id` returns.

    Gives up after `patience_seconds` without progress, and says before why there is none. It may be interrupted at any moment: what has
    been delivered by then is not delivered again the next time.

    Raises UndeliverableError; InUseError where the session's process is alive; ValueError where the
    folder is not that of a session, or the session_id is invalid; OSError.
    """
    if session_id and not SESSION_ID.fullmatch(session_id):
        raise ValueError(f"session_id must match {SESSION_ID.pattern}")
    folder = _claim(path)
    spool = Spool(folder, UNLIMITED)
    try:
        spool.load()
        sender = _SpoolSender(folder, spool, destination, session_id, waiting)
        return sender.deliver(patience_seconds, progress)
    finally:
        spool.release()


def recovered_id(session_id: str, instance_id: str) -> str:
    """Return the name for what one process has left of a session that another process has continued."""
    end = f"-recovered-{instance_id[:8]}"
    return f"{session_id[: 63 - len(end)]}{end}"


def _claim(path: Path) -> Folder:
    """Take over the folder; a process that only checks whether it could holds the lock for a moment."""
    for _ in range(CLAIM_ATTEMPTS):
        try:
            return Folder.claim(path)
        except InUseError:
            time.sleep(POLL_SECONDS)
    return Folder.claim(path)


class _SpoolSender:
    """Delivers the messages of one session from its spool, as the session itself would."""

    def __init__(
        self,
        folder: Folder,
        spool: Spool,
        destination: Destination,
        session_id: str | None,
        waiting: Waiting,
    ) -> None:
        identity = replace(folder.identity, is_left_over=True)
        if session_id is not None:
            name = session_id or recovered_id(identity.session_id, identity.instance_id)
            identity = replace(identity, session_id=name)
        self._identity = identity
        self._path = folder.path
        self._spool = spool
        # What was acknowledged of the session was not acknowledged under another name.
        self._acked_through = spool.acked_through if session_id is None else 0
        self._target = destination.target
        self._stats = Stats()
        self._wake = threading.Event()
        self._acknowledge_at = 0.0
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
        self._is_end_sent = False
        self._waiting = waiting
        self._reported: set[str] = set()

    def deliver(self, patience_seconds: float, progress: Progress) -> SyncResult:
        """Deliver all of it. Raises UndeliverableError, and OSError where it cannot be read."""
        messages, batches = self._spool.count_after(self._acked_through)
        is_empty = not self._spool.last and end_left_in(self._path) is None
        is_ended = self._spool.has_end or self._spool.is_end_unknown or is_empty
        if messages or not is_ended:
            self._outbox.resume(
                acked_through=self._acked_through, messages=messages, batches=batches
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
            self._feed(patience_seconds, progress)
        finally:
            self._connection.stop()
            sending.join(CLOSE_SECONDS)
            self._spool.acknowledge(self._outbox.acked_through)

    def _feed(self, patience_seconds: float, progress: Progress) -> None:
        """Feed the outbox from the spool until all is delivered. Raises UndeliverableError, OSError."""
        moved, moved_at = -1, time.monotonic()
        while not self._outbox.is_done:
            self._wake.clear()
            self._refill()
            done = self._stats.messages - self._stats.unacknowledged
            if done != moved:
                moved, moved_at = done, time.monotonic()
                progress(self._identity.session_id, done, self._stats.messages)
            stalled_seconds = time.monotonic() - moved_at
            self._check_progress(stalled_seconds > patience_seconds)
            if stalled_seconds > STALLED_SECONDS:
                self._report_waiting()
            if self._stats.connections and not self._is_end_sent:
                self._send_missing_end()
            self._wake.wait(POLL_SECONDS)

    def _refill(self) -> None:
        while (refill := self._outbox.next_refill()) is not None:
            self._outbox.refill(self._spool.read(*refill))
        if time.monotonic() >= self._acknowledge_at:
            self._acknowledge_at = time.monotonic() + ACKNOWLEDGE_SECONDS
            self._spool.acknowledge(self._outbox.acked_through)

    def _send_missing_end(self) -> None:
        """Send the status that ends the session, where its process could not; nothing comes after that.

        Only once the bridge has answered: it may have more than is left here, and the sequence must be higher.
        """
        self._is_end_sent = True
        if not self._spool.has_end and not self._spool.is_end_unknown:
            last = max(self._spool.last, self._outbox.acked_through)
            encoder = Encoder(self._identity.config, LeftOut(), last=last)
            end = end_left_in(self._path) or StatusCall(0.0, Status.FAILED, SILENT_END)
            self._outbox.put([encoder.status(end, now_ms())])
        self._outbox.close()

    def _check_progress(self, is_stalled: bool) -> None:  # noqa: FBT001
        failure = self._connection.failure
        if failure is not None and failure.is_refusal:
            raise _kind_of(failure)(f"the bridge at {self._target} refuses it: {failure.reason}")
        if is_stalled and failure is not None:
            raise BridgeUnreachableError(f"no bridge at {self._target}: {failure.reason}")
        if is_stalled:
            raise UndeliverableError(f"the bridge at {self._target} acknowledges nothing any more")

    def _report_waiting(self) -> None:
        """Say why there is no connection, each reason once: whoever waits should not wait for nothing."""
        failure = self._connection.failure
        if failure is not None and failure.reason not in self._reported:
            self._reported.add(failure.reason)
            self._waiting(f"no connection to the bridge at {self._target} yet: {failure.reason}")

    def _finish(self) -> SyncResult:
        """Delete the spool; keep it, under another name, where some of it is lost."""
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


def _kind_of(failure: ConnectionFailure) -> type[UndeliverableError]:
    if failure.is_token_unknown:
        return BridgeUnreachableError
    return NotAllowedError if failure.is_rejection else UndeliverableError
