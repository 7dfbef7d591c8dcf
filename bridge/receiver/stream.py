"""One open stream: what has been accepted from it, and what it is owed."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bridge.admission import Admission, Caller
from bridge.commands import Commands
from bridge.errors import (
    BridgeError,
    ForeignSessionError,
    FrameLimitError,
    InvalidDataError,
    OverloadedError,
    SequenceGapError,
    UnknownSessionError,
)
from bridge.model import Batch, Heartbeat, Message, Update
from bridge.pipeline import Pipeline
from bridge.receiver import responses
from bridge.receiver.decode import Result
from bridge.session import SEQUENCE_LIMIT, Session
from bridge.sessions import Sessions
from bridge.telemetry import Telemetry
from bridge.wire import metrics_pb2 as wire

FRAMES_PER_COUNT = 64
"""Received messages are counted after so many frames, and with every acknowledgment."""

OWED_LIMIT = 10_000
"""Answers a client may leave unread; above it nothing more is read from its stream."""

QUIET_SECONDS = 1.0
"""A stream whose session is unknown, or not its own, hears so at most this often."""

AGAIN_AFTER_MS = 100
"""When to send again what was not taken for another reason than want of room."""

ATTEMPTS = 3
"""A message that could not be read or applied so many times, one after the other, is refused for good."""

NOBODY = Caller()

CODE_OF: dict[type[BridgeError], wire.ErrorResponse.ErrorCode.ValueType] = {
    InvalidDataError: wire.ErrorResponse.INVALID_DATA,
    UnknownSessionError: wire.ErrorResponse.INVALID_SESSION,
    ForeignSessionError: wire.ErrorResponse.INVALID_SESSION,
    OverloadedError: wire.ErrorResponse.BUFFER_FULL,
    FrameLimitError: wire.ErrorResponse.BUFFER_FULL,
    SequenceGapError: wire.ErrorResponse.BUFFER_FULL,
}
"""What the protocol calls each refusal."""

CountImages = Callable[[str], tuple[int, int]]
"""How many images of a session were kept and not kept so far."""


@dataclass(frozen=True, slots=True)
class StreamDependencies:
    """What every stream of a server shares."""

    pipeline: Pipeline
    sessions: Sessions
    commands: Commands
    telemetry: Telemetry
    image_counts: CountImages
    load_archived: Callable[[str], Session | None] = lambda _session_id: None
    """Finds a session that is gone from memory; blocks, and raises StorageError."""
    is_being_archived: Callable[[str], bool] = lambda _session_id: False
    """Tells whether a session is gone from memory and not yet on disk."""
    admission: Admission = field(default_factory=Admission)
    holders: "dict[str, Stream]" = field(default_factory=dict)
    """The stream that speaks for each session."""


@dataclass(slots=True)
class Pending:
    """An acknowledgment that waits for its commit."""

    ticket: int
    sequence: int
    batch: int


class Stream:
    """Takes what is read from one stream, and collects its answers for the one task that writes.

    Numbered messages are applied in the order of their numbers, without a gap, so an Ack covers nothing
    that was not applied: whatever is not taken holds up all that follows, until it comes again or its
    number has been refused with INVALID_DATA.
    """

    def __init__(self, deps: StreamDependencies, caller: Caller = NOBODY) -> None:
        """Start without a session: the first good message tells which one it is."""
        self.is_superseded = False
        """The same client has opened a newer stream: what this one still brings, that one brings again."""
        self._deps = deps
        self.session_id = ""
        self._holder = ("", 0)
        self._committed_batch = 0
        self._caller = caller
        self._has_begun = False
        """Something numbered, or that may have been, has come: from now on there must be no gap."""
        self._is_numbered = False
        self._unreadable = 0
        """Messages that could not be read since the last one that came in its turn."""
        self._asks_again = False
        """Something in this frame was not taken, and its sequence is not known."""
        self._asked_for = 0
        """The sequence that the client has been asked for in this frame."""
        self._stuck = (0, 0)
        """A sequence that could not be read or applied, and how often."""
        self._read = 0
        """A sequence that could be read and was not applied: what cannot be read is another message."""
        self._pending: deque[Pending] = deque()
        self._owed: deque[wire.MetricsResponse] = deque()
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._closing = False
        self._kinds: dict[type[Message], int] = {}
        self._received_bytes = 0
        self._frames = 0
        self._quiet_until = 0.0

    def take(self, results: Sequence[Result], size_bytes: int) -> None:
        """Apply what one frame held, or answer why not; never raises."""
        if self.is_superseded:
            return
        self._asked_for = 0
        for result in results:
            try:
                if isinstance(result, Update):
                    self._accept(result)
                else:
                    self._reject(result)
            except SequenceGapError as error:
                self._ask_for(error)
            except InvalidDataError as error:
                self._refuse_for_good(error, result)
            except BridgeError as error:
                self._refuse(error, self._sequence_of(result))
            except Exception as error:  # noqa: BLE001 -- one message must not end a stream
                self._deps.telemetry.unexpected_error("receiver", error)
                self._answer_fault(self._sequence_of(result))
        if self._asks_again:
            self._ask_for_next()
        self._received_bytes += size_bytes
        self._frames += 1
        if self._frames >= FRAMES_PER_COUNT:
            self._count()

    def on_committed(self, ticket: int) -> None:
        """Owe the acknowledgments of everything up to this ticket."""
        self._count()
        pending = self._pending
        while pending and pending[0].ticket <= ticket:
            first = pending.popleft()
            self._committed_batch = first.batch
            self._owe(responses.acknowledgment(first.batch, first.sequence, *self._images()))
        self._moved.set()

    def drain(self, reconnect_after_ms: int) -> None:
        """Tell the client to connect again, and write what is owed; then the writer returns."""
        self._owe_last_images()
        self._owe(responses.draining(reconnect_after_ms))
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
                self._owe_last_images()
                while self._owed:
                    await write(self._owed.popleft())
                return

    def close(self) -> None:
        """Let go of the session; the stream is gone."""
        self._count()
        if self._deps.holders.get(self.session_id) is self:
            del self._deps.holders[self.session_id]
        if self.session_id:
            self._deps.commands.unsubscribe(self.session_id, self._wake.set)
            self._deps.pipeline.disconnected(self.session_id)

    def _count(self) -> None:
        if self._frames:
            self._deps.telemetry.received(self._kinds, self._received_bytes)
            self._kinds = {}
            self._received_bytes = self._frames = 0

    def _accept(self, update: Update) -> None:
        kind = type(update.message)
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        session = self._session(update.session_id)
        if update.sequence and not self._is_numbered:
            self._begin(session, update.sequence)
        ticket = self._deps.pipeline.accept(update, self)
        if update.sequence:
            self._unreadable = 0
        self._expect(ticket, update, session)

    def _reject(self, error: BridgeError) -> None:
        """Answer what cannot even be tried; raises where a message before it is missing."""
        if isinstance(error, FrameLimitError):
            self._has_begun = self._asks_again = True
            if not self._is_numbered:
                self._refuse(error, 0)
            return
        if isinstance(error, InvalidDataError) and error.is_unreadable:
            self._has_begun = self._asks_again = True
            self._unreadable += 1
        elif isinstance(error, InvalidDataError) and error.sequence and error.session_id:
            self._begin(self._session(error.session_id), error.sequence)
        raise error

    def _begin(self, session: Session, sequence: int) -> None:
        """Let the first numbered message of a stream say where its client begins, if that may be.

        Only of a client that has proved to be the one whose sequences these are, and only if nothing
        came before it that may have been a message with a lower number.
        """
        has_begun, self._has_begun, self._is_numbered = self._has_begun, True, True
        if not has_begun and session.client.instance_id and sequence > session.accepted + 1:
            self._deps.pipeline.begin_at(session.id, sequence)

    def _session(self, session_id: str) -> Session:
        """Return the session that this stream speaks for; raises where this is another."""
        if session_id != self.session_id:
            self._bind(session_id)
        session = self._deps.sessions.get(session_id)
        if (session.client.instance_id, session.attempt) != self._holder:
            raise ForeignSessionError("another training process has taken the session over")
        return session

    def _ask_for(self, error: SequenceGapError) -> None:
        """Ask for the message that should have come, once a frame; or refuse it, if it never can be read."""
        expected = error.expected
        if expected == self._asked_for:
            self._deps.telemetry.error_answered(
                "BUFFER_FULL", "not answered: once a frame is enough"
            )
            return
        if self._has_given_up(expected):
            expected += 1
        self._asked_for = expected
        self._refuse(error, expected, AGAIN_AFTER_MS)

    def _ask_for_next(self) -> None:
        """Ask for all that follows the last message that was taken: a part of the frame was not.

        Where that was one message that cannot be read, however often it comes, it is refused instead.
        """
        self._asks_again = False
        session = self._deps.sessions.find(self.session_id)
        if session is None or not self._is_numbered or self._asked_for == session.accepted + 1:
            return
        is_alone = self._unreadable == 1
        if self._has_given_up(session.accepted + 1) and is_alone:
            return
        expected = session.accepted + 1
        text = f"not all of the frame was taken; send again from {expected}"
        self._refuse(SequenceGapError(text, expected=expected), expected, AGAIN_AFTER_MS)

    def _has_given_up(self, expected: int) -> bool:
        """Take what could not be read for the message that is expected; refuse that once it came often enough."""
        unreadable, self._unreadable = self._unreadable, 0
        if not unreadable or expected == self._read or not self._is_stuck(expected):
            return False
        self._give_up(
            expected, InvalidDataError(f"the message cannot be read after {ATTEMPTS} attempts")
        )
        return True

    def _answer_fault(self, sequence: int) -> None:
        """Have a message that met a fault of ours sent again; it must not hold up the others for long."""
        if sequence and self._is_stuck(sequence):
            self._give_up(sequence, InvalidDataError("internal error"))
            return
        again = AGAIN_AFTER_MS if sequence else 0
        self._asked_for = self._read = sequence
        self._owe_error(wire.ErrorResponse.INTERNAL_ERROR, "internal error", sequence, again)

    def _is_stuck(self, sequence: int) -> bool:
        """Count one more failure of a message; tell whether there have been enough of them."""
        before, failures = self._stuck
        failures = failures + 1 if sequence == before else 1
        self._stuck = (sequence, failures)
        return failures >= ATTEMPTS

    def _refuse_for_good(self, error: InvalidDataError, result: Result) -> None:
        """Refuse a message for what it holds; where it has a number of this session, that is dealt with."""
        sequence = self._sequence_of(result)
        session_id = result.session_id if isinstance(result, Update | InvalidDataError) else ""
        if sequence and session_id and session_id == self.session_id:
            self._give_up(sequence, error)
        else:
            self._refuse(error, sequence)

    def _give_up(self, sequence: int, error: InvalidDataError) -> None:
        """Refuse a message by its sequence, which Acks cover from now on."""
        try:
            ticket = self._deps.pipeline.refuse(self.session_id, sequence, self)
        except SequenceGapError as gap:
            self._ask_for(gap)
            return
        except BridgeError as refusal:  # the session is gone
            self._refuse(refusal, sequence)
            return
        self._refuse(error, sequence)
        session = self._deps.sessions.get(self.session_id)
        self._expect_sequence(ticket, session.accepted, session.batch)

    def _bind(self, session_id: str) -> None:
        """Make this the stream of one session; it stays so."""
        if self.session_id and self._deps.sessions.find(session_id) is not None:
            raise InvalidDataError("session_id: this stream belongs to another session")
        session = self._deps.sessions.get(session_id)
        if self.session_id:
            return
        self._deps.admission.check(session, self._caller)
        self.session_id = session_id
        self._holder = (session.client.instance_id, session.attempt)
        if session.images_acknowledged is None:
            session.images_acknowledged = self._deps.image_counts(session_id)
        self._take_over()
        self._deps.pipeline.connected(session_id)
        self._deps.commands.subscribe(session_id, self._wake.set)
        self._wake.set()

    def _take_over(self) -> None:
        """Close the stream that this one follows, which may be dead without knowing it.

        Clients that do not name themselves cannot be told apart, so theirs stay.
        """
        before = self._deps.holders.get(self.session_id)
        if before is not None and before._holder == self._holder and self._holder[0]:
            before.supersede()
        self._deps.holders[self.session_id] = self

    def _expect(self, ticket: int, update: Update, session: Session) -> None:
        """Note which acknowledgment the update earns.

        With sequences one for each commit, cumulative; without, one for each batch. A heartbeat without
        a sequence is answered at once, with what has been committed by now.
        """
        message = update.message
        if update.sequence:
            self._expect_sequence(ticket, session.accepted, session.batch)
        elif isinstance(message, Batch):
            self._pending.append(Pending(ticket, 0, message.index))
        elif isinstance(message, Heartbeat):
            batch, sequence = self._committed_batch, session.committed
            self._owe(responses.acknowledgment(batch, sequence, *self._images()))

    def _expect_sequence(self, ticket: int, sequence: int, batch: int) -> None:
        last = self._pending[-1] if self._pending else None
        if last is None or last.ticket != ticket or not last.sequence:
            self._pending.append(Pending(ticket, sequence, batch))
            return
        last.sequence = sequence
        last.batch = batch

    def _images(self) -> tuple[int, int]:
        """Return the images of the session kept and not kept since the last Ack, also that of another stream."""
        session = self._deps.sessions.find(self.session_id)
        if session is None or (session.client.instance_id, session.attempt) != self._holder:
            return 0, 0
        kept, dropped = self._deps.image_counts(self.session_id)
        before, session.images_acknowledged = session.images_acknowledged, (kept, dropped)
        if before is None:
            return 0, 0
        return max(0, kept - before[0]), max(0, dropped - before[1])

    def _owe_last_images(self) -> None:
        """Owe an Ack of the images that were decided on after the last one, before the stream ends."""
        session = self._deps.sessions.find(self.session_id)
        if session is None or not self._is_numbered or self.is_superseded:
            return
        images = self._images()
        if any(images):
            self._owe(responses.acknowledgment(self._committed_batch, session.committed, *images))

    def _refuse(self, error: BridgeError, sequence: int, retry_after_ms: int = 0) -> None:
        if (
            isinstance(error, UnknownSessionError | ForeignSessionError)
            and not self._may_complain()
        ):
            self._deps.telemetry.error_answered("INVALID_SESSION", "not answered: too many of them")
            return
        if isinstance(error, OverloadedError):
            retry_after_ms = error.retry_after_ms
            self._asked_for = self._read = sequence
        elif isinstance(error, FrameLimitError):
            retry_after_ms = AGAIN_AFTER_MS
        code = CODE_OF.get(type(error), wire.ErrorResponse.INTERNAL_ERROR)
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
        self._deps.telemetry.error_answered(wire.ErrorResponse.ErrorCode.Name(code), text)
        self._owe(responses.error(code, text, sequence, retry_after_ms))

    def _owe_commands(self) -> None:
        if not self.session_id or self._closing:
            return
        for command in self._deps.pipeline.take_commands(self.session_id):
            self._owe(responses.command(command))

    def _sequence_of(self, result: Result) -> int:
        """Return the sequence of a message, 0 where it has none, nobody knows it, or another session counts it."""
        if not isinstance(result, Update | InvalidDataError):
            return 0
        is_own = result.session_id == self.session_id or not self.session_id
        return result.sequence if is_own or result.sequence > SEQUENCE_LIMIT else 0

    def _owe(self, response: wire.MetricsResponse) -> None:
        response.session_id = self.session_id
        response.timestamp_ms = max(0, time.time_ns() // 1_000_000)
        self._owed.append(response)
        self._wake.set()
