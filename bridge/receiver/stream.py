"""One open stream: what has been accepted from it, and what it is owed."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bridge.commands import Commands
from bridge.errors import (
    BridgeError,
    ForeignSessionError,
    InvalidDataError,
    OverloadedError,
    UnknownSessionError,
)
from bridge.model import Batch, Heartbeat, Message, Update
from bridge.pipeline import RETRY_AFTER_MS, Pipeline
from bridge.receiver import answers
from bridge.receiver.decode import Result
from bridge.sessions import Session, Sessions
from bridge.telemetry import Telemetry
from bridge.wire import metrics_pb2 as wire

FRAMES_PER_COUNT = 64
"""Received messages are counted after so many frames, and with every acknowledgment."""

OWED_LIMIT = 10_000
"""Answers a client may leave unread; above it nothing more is read from its stream."""

QUIET_SECONDS = 1.0
"""A stream whose session is unknown is told so at most this often."""

CODE_OF: dict[type[BridgeError], wire.ErrorResponse.ErrorCode.ValueType] = {
    InvalidDataError: wire.ErrorResponse.INVALID_DATA,
    UnknownSessionError: wire.ErrorResponse.INVALID_SESSION,
    ForeignSessionError: wire.ErrorResponse.INVALID_SESSION,
    OverloadedError: wire.ErrorResponse.BUFFER_FULL,
}
"""What the protocol calls each refusal."""

Tally = Callable[[str], tuple[int, int]]
"""How many images of a session were kept and not kept so far."""


@dataclass(frozen=True, slots=True)
class Door:
    """What every stream of a server shares."""

    pipeline: Pipeline
    sessions: Sessions
    commands: Commands
    telemetry: Telemetry
    tally: Tally
    recall: Callable[[str], Session | None] = lambda _session_id: None
    """Finds a session that is gone from memory; blocks, and raises StorageError."""
    is_leaving: Callable[[str], bool] = lambda _session_id: False
    """Tells whether a session is gone from memory and not yet on disk."""
    holders: "dict[str, Stream]" = field(default_factory=dict)
    """The stream that speaks for each session."""


@dataclass(slots=True)
class Pending:
    """An acknowledgment that waits for its commit."""

    ticket: int
    sequence: int
    batch: int


class Stream:
    """Takes what is read from one stream, and collects its answers for the one task that writes."""

    def __init__(self, door: Door) -> None:
        """Start without a session: the first good message tells which one it is."""
        self.is_superseded = False
        """The same client has opened a newer stream: what this one still brings, that one brings again."""
        self._door = door
        self.session_id = ""
        self._holder = ("", 0)
        self._committed_batch = 0
        self._refused = 0
        """The sequence of the first message that was refused for want of room and has not come again."""
        self._pending: deque[Pending] = deque()
        self._owed: deque[wire.MetricsResponse] = deque()
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._closing = False
        self._told = (0, 0)
        self._kinds: dict[type[Message], int] = {}
        self._received_bytes = 0
        self._frames = 0
        self._quiet_until = 0.0

    def take(self, results: Sequence[Result], size_bytes: int) -> None:
        """Apply what one frame held, or answer why not; never raises."""
        if self.is_superseded:
            return
        for result in results:
            if isinstance(result, InvalidDataError):
                self._refuse(result, result.sequence)
                continue
            try:
                self._accept(result)
            except OverloadedError as error:
                # Told of the first one refused: from there on the client has to send again.
                self._refuse(error, self._refused or result.sequence)
            except BridgeError as error:
                self._refuse(error, result.sequence)
            except Exception as error:  # noqa: BLE001 -- one message must not end a stream
                self._door.telemetry.failed("receiver", error)
                self._owe_error(wire.ErrorResponse.INTERNAL_ERROR, "internal error", 0)
        self._received_bytes += size_bytes
        self._frames += 1
        if self._frames >= FRAMES_PER_COUNT:
            self._count()

    def committed(self, ticket: int) -> None:
        """Owe the acknowledgments of everything up to this ticket."""
        self._count()
        pending = self._pending
        while pending and pending[0].ticket <= ticket:
            first = pending.popleft()
            self._committed_batch = first.batch
            self._owe(answers.acknowledgment(first.batch, first.sequence, *self._images()))
        self._moved.set()

    def drain(self, reconnect_after_ms: int) -> None:
        """Tell the client to connect again, and write what is owed; then the writer returns."""
        self._owe(answers.draining(reconnect_after_ms))
        self.finish()

    def finish(self) -> None:
        """Let the writer return once everything accepted is answered."""
        self._closing = True
        self._wake.set()

    def supersede(self) -> None:
        """Make way for a newer stream: take nothing more, and let the writer return."""
        self.is_superseded = True
        self.finish()

    async def room(self) -> None:
        """Wait until the client has read enough of its answers."""
        while len(self._owed) >= OWED_LIMIT:
            self._moved.clear()
            await self._moved.wait()

    async def write_to(self, write: Callable[[wire.MetricsResponse], Awaitable[None]]) -> None:
        """Write answers as they come, until all is said after `finish`."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._owe_commands()
            while self._owed:
                await write(self._owed.popleft())
                self._moved.set()
            if self._closing and not self._pending:
                return

    def close(self) -> None:
        """Let go of the session; the stream is gone."""
        self._count()
        if self._door.holders.get(self.session_id) is self:
            del self._door.holders[self.session_id]
        if self.session_id:
            self._door.commands.unlisten(self.session_id, self._wake.set)
            self._door.pipeline.disconnected(self.session_id)

    def _count(self) -> None:
        if self._frames:
            self._door.telemetry.received(self._kinds, self._received_bytes)
            self._kinds = {}
            self._received_bytes = self._frames = 0

    def _accept(self, update: Update) -> None:
        kind = type(update.message)
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if update.session_id != self.session_id:
            self._bind(update.session_id)
        session = self._door.sessions.get(update.session_id)
        if (session.client.instance_id, session.attempt) != self._holder:
            # Not the fault of the message: its sender must keep it, and register again.
            raise ForeignSessionError("another training process has taken the session over")
        self._expect(self._admitted(update), update, session)

    def _admitted(self, update: Update) -> int:
        """Have an update applied, but none that would overtake one that was refused for want of room.

        It would raise the high-water mark over the refused one, which then could never be applied. A
        client that does not have that one any more opens a new stream.
        """
        sequence = update.sequence
        if self._refused and sequence > self._refused:
            raise OverloadedError(
                f"message {self._refused} was refused and has to come again first",
                retry_after_ms=RETRY_AFTER_MS,
            )
        try:
            ticket = self._door.pipeline.accept(update, self)
        except OverloadedError:
            self._refused = sequence or self._refused
            raise
        if sequence == self._refused:
            self._refused = 0
        return ticket

    def _bind(self, session_id: str) -> None:
        """Make this the stream of one session; it stays so."""
        if self.session_id and self._door.sessions.find(session_id) is not None:
            raise InvalidDataError("session_id: this stream belongs to another session")
        session = self._door.sessions.get(session_id)
        if self.session_id:
            return
        self.session_id = session_id
        self._holder = (session.client.instance_id, session.attempt)
        self._told = self._door.tally(session_id)
        self._take_over()
        self._door.pipeline.connected(session_id)
        self._door.commands.listen(session_id, self._wake.set)
        self._wake.set()

    def _take_over(self) -> None:
        """Close the stream that this one follows, which may be dead without knowing it.

        Clients that do not name themselves cannot be told apart, so theirs stay.
        """
        before = self._door.holders.get(self.session_id)
        if before is not None and before._holder == self._holder and self._holder[0]:
            before.supersede()
        self._door.holders[self.session_id] = self

    def _expect(self, ticket: int, update: Update, session: Session) -> None:
        """Note which acknowledgment the update earns.

        With sequences one for each commit, cumulative; without, one for each batch. A heartbeat is
        answered at once.
        """
        message = update.message
        if isinstance(message, Heartbeat):
            batch, sequence = self._committed_batch, session.committed
            self._owe(answers.acknowledgment(batch, sequence, *self._images()))
        if update.sequence:
            self._expect_sequence(ticket, session.accepted, session.batch)
        elif isinstance(message, Batch):
            self._pending.append(Pending(ticket, 0, message.index))

    def _expect_sequence(self, ticket: int, sequence: int, batch: int) -> None:
        last = self._pending[-1] if self._pending else None
        if last is None or last.ticket != ticket or not last.sequence:
            self._pending.append(Pending(ticket, sequence, batch))
            return
        last.sequence = sequence
        last.batch = batch

    def _images(self) -> tuple[int, int]:
        """Return the images kept and not kept since the last time."""
        kept, dropped = self._door.tally(self.session_id)
        before, self._told = self._told, (kept, dropped)
        return max(0, kept - before[0]), max(0, dropped - before[1])

    def _refuse(self, error: BridgeError, sequence: int) -> None:
        if isinstance(error, UnknownSessionError) and not self._may_complain():
            self._door.telemetry.error_answered("INVALID_SESSION", "not answered: too many of them")
            return
        code = CODE_OF.get(type(error), wire.ErrorResponse.INTERNAL_ERROR)
        retry_after_ms = error.retry_after_ms if isinstance(error, OverloadedError) else 0
        self._owe_error(code, str(error), sequence, retry_after_ms)

    def _may_complain(self) -> bool:
        now = time.monotonic()
        if now < self._quiet_until:
            return False
        self._quiet_until = now + QUIET_SECONDS
        return True

    def _owe_error(
        self,
        code: wire.ErrorResponse.ErrorCode.ValueType,
        text: str,
        sequence: int,
        retry_after_ms: int = 0,
    ) -> None:
        self._door.telemetry.error_answered(wire.ErrorResponse.ErrorCode.Name(code), text)
        self._owe(answers.error(code, text, sequence, retry_after_ms))

    def _owe_commands(self) -> None:
        if not self.session_id or self._closing:
            return
        for command in self._door.pipeline.take_commands(self.session_id):
            self._owe(answers.command(command))

    def _owe(self, response: wire.MetricsResponse) -> None:
        response.session_id = self.session_id
        response.timestamp_ms = time.time_ns() // 1_000_000
        self._owed.append(response)
        self._wake.set()
