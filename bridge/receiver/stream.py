"""One open stream: applies what is read from it, and collects the responses to be written."""

import time
from collections.abc import Sequence

from bridge.admission import UNKNOWN_CALLER, Caller
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
from bridge.receiver import responses
from bridge.receiver.acks import Acks
from bridge.receiver.decode import Result
from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.endings import SUPERSEDED, Ending
from bridge.receiver.errors import answer_to
from bridge.receiver.failures import ATTEMPTS, Failures
from bridge.receiver.first_messages import Turn
from bridge.receiver.outgoing import Outgoing, Write
from bridge.session import SEQUENCE_LIMIT, Holder, Session
from bridge.wire import metrics_pb2 as wire

FRAMES_PER_COUNT = 64
"""Received messages are counted after so many frames, and with every acknowledgment."""

QUIET_SECONDS = 1.0
"""A stream whose session is unknown or not its own gets INVALID_SESSION at most this often."""

RETRY_AFTER_MS = 100
"""When to send again what was not applied, unless the disk is what it waits for."""


class Stream:
    """Applies what is read from one stream, and collects its responses for the one task that writes.

    Numbered messages are applied in the order of their numbers, without a gap, so an Ack covers nothing
    that was not applied: whatever is not applied holds up all that follows, until it is sent again or its
    number has been refused with INVALID_DATA.
    """

    def __init__(self, deps: StreamDependencies, caller: Caller = UNKNOWN_CALLER) -> None:
        """Start without a session: the first valid message says which one it is."""
        self.session_id = ""
        self._deps = deps
        self._pipeline = deps.pipeline
        self.caller = caller
        self.turn: Turn | None = None
        """What lets a client that has not registered send a message."""
        self.ending: Ending | None = None
        """Why the bridge ends it, where it does."""
        self.holder = Holder()
        self._acks = Acks(deps.count_images)
        self._failures = Failures()
        self._may_skip = True
        """Nothing numbered, or that may have been, has come or was refused: the first sequence may be any."""
        self._uses_sequences = False
        self._is_incomplete = False
        """Something in this frame was not applied, and its sequence is not known."""
        self._requested = 0
        """The sequence that the client has been asked for in this frame."""
        self.outgoing = Outgoing()
        self.is_closing = False
        """It accepts nothing more, and ends once everything is answered."""
        self._kinds: dict[type[Message], int] = {}
        self._received_bytes = 0
        self._frames = 0
        self._quiet_until = 0.0
        self.looked_up_until = 0.0  # monotonic: until then nobody looks for it on other bridges

    def receive(self, results: Sequence[Result], size_bytes: int) -> None:
        """Apply what one frame held, or answer why not; never raises."""
        if self.ending is not None:
            return
        self._requested = 0
        for result in results:
            try:
                if isinstance(result, Update):
                    self._accept(result)
                else:
                    self._reject(result)
            except SequenceGapError as error:
                self._request(error)
            except InvalidDataError as error:
                self._refuse_for_good(error, result)
            except BridgeError as error:
                self._refuse(error, self._sequence_of(result))
            except Exception as error:  # noqa: BLE001 -- one message must not end a stream
                self._deps.telemetry.unexpected_error("receiver", error)
                self._answer_fault(error, self._sequence_of(result))
        if self._is_incomplete:
            self._request_rest()
        self._received_bytes += size_bytes
        self._frames += 1
        if self._frames >= FRAMES_PER_COUNT:
            self._count()

    def on_committed(self, ticket: int) -> None:
        """Enqueue the acknowledgments of everything up to this ticket."""
        self._count()
        for ack in self._acks.committed(ticket, self._session()):
            self._enqueue(ack)
        self.outgoing.check_capacity()

    def drain(self, reconnect_after_ms: int) -> None:
        """Have the client connect again, which may be elsewhere, and the writer return once all is written."""
        if self._session() is not None:
            self._pipeline.send_elsewhere(self.session_id)
        self.reconnect(reconnect_after_ms)

    def reconnect(self, reconnect_after_ms: int) -> None:
        """Have the client connect again, here, and the writer return once all is written."""
        if self.is_closing:
            return
        self._enqueue_last_ack()
        self._enqueue(responses.draining(reconnect_after_ms))
        self.finish()

    def finish(self) -> None:
        """Let the writer return once everything accepted is answered."""
        self.is_closing = True
        self.outgoing.wake.set()

    def supersede(self) -> None:
        """Make way for a newer stream, where the client sends again what this one still brings: apply nothing more."""
        self.ending = SUPERSEDED
        self.finish()

    def lose(self) -> None:
        """Acknowledge nothing more, and have the client connect again: another bridge has the session."""
        self._acks.discard()
        self.reconnect(0)

    async def write_to(self, write: Write) -> None:
        """Write responses as they come, until everything is answered after `finish`."""
        outgoing = self.outgoing
        while True:
            await outgoing.wake.wait()
            outgoing.wake.clear()
            self._enqueue_commands()
            await outgoing.write_all(write)
            if self.is_closing and self._acks.is_empty:
                self._enqueue_last_ack()
                await outgoing.write_all(write)
                return

    def close(self) -> None:
        """Release the session; the stream is gone."""
        self._count()
        if self._deps.streams.get(self.session_id) is self:
            del self._deps.streams[self.session_id]
        if self.session_id:
            self._deps.commands.unsubscribe(self.session_id, self.outgoing.wake.set)
            self._pipeline.disconnect(self.session_id)

    def _count(self) -> None:
        if self._frames:
            self._deps.telemetry.received(self._kinds, self._received_bytes)
            self._kinds = {}
            self._received_bytes = self._frames = 0

    def _accept(self, update: Update) -> None:
        session_id, message, sequence, _ = update
        kind = type(message)
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if session_id != self.session_id:
            self._bind(session_id)
        if sequence and not self._uses_sequences:
            self._begin(session_id, sequence)
        ticket, session = self._pipeline.accept(update, self.holder, self)
        if sequence:
            self._failures.unreadable = 0
            self._acks.expect_sequence(ticket, session)
        elif isinstance(message, Batch):
            self._acks.expect_batch(ticket, message.index)
        elif isinstance(message, Heartbeat):
            self._enqueue(self._acks.current(session))

    def _reject(self, error: BridgeError) -> None:
        """Answer what cannot even be tried; raises where a message before it is missing."""
        if isinstance(error, FrameLimitError):
            self._may_skip, self._is_incomplete = False, True
            if not self._uses_sequences:
                self._refuse(error, 0)
            return
        if isinstance(error, InvalidDataError) and error.is_unreadable:
            self._may_skip, self._is_incomplete = False, True
            self._failures.unreadable += 1
        elif isinstance(error, InvalidDataError) and error.sequence and error.session_id:
            if error.session_id != self.session_id:
                self._bind(error.session_id)
            self._begin(error.session_id, error.sequence)
        raise error

    def _bind(self, session_id: str) -> None:
        """Make this the stream of one session; it stays so."""
        session = self._pipeline.admit(session_id, self.caller, bound_to=self.session_id)
        self.session_id, self.holder = session_id, session.holder
        self._acks.begin(session)
        self._replace_predecessor()
        self._pipeline.connect(session_id)
        self._deps.commands.subscribe(session_id, self.outgoing.wake.set)
        self.outgoing.wake.set()

    def _replace_predecessor(self) -> None:
        """Close the stream that this one follows, which may be dead without knowing it.

        Clients that do not name themselves cannot be distinguished, so theirs stay.
        """
        predecessor = self._deps.streams.get(self.session_id)
        if (
            predecessor is not None
            and predecessor.holder == self.holder
            and self.holder.instance_id
        ):
            predecessor.supersede()
        self._deps.streams[self.session_id] = self

    def _begin(self, session_id: str, sequence: int) -> None:
        """Let the first numbered message say where its client begins, if nothing lower may have come."""
        self._pipeline.begin_at(session_id, sequence, self.holder, may_skip=self._may_skip)
        self._may_skip, self._uses_sequences = False, True

    def _session(self) -> Session | None:
        """Return the session of this stream, or None once it has expired or belongs to another process."""
        return self._pipeline.held_by(self.session_id, self.holder)

    def _request(self, error: SequenceGapError) -> None:
        """Ask for the message that should have come, once a frame; or refuse it, if it never can be read."""
        expected = error.expected
        if expected == self._requested:
            self._deps.telemetry.error_answered(
                "BUFFER_FULL", "not answered: once a frame is enough"
            )
            return
        if self._failures.is_unreadable(expected):
            self._give_up_unreadable(expected)
            expected += 1
        self._requested = expected
        self._refuse(error, expected, RETRY_AFTER_MS)

    def _request_rest(self) -> None:
        """Ask for all that follows the last message that was applied: a part of the frame was not.

        Where that was one message that cannot be read, however often it is sent, it is refused instead.
        """
        self._is_incomplete = False
        session = self._session()
        if session is None or not self._uses_sequences or self._requested == session.accepted + 1:
            return
        is_alone = self._failures.unreadable == 1
        if self._failures.is_unreadable(session.accepted + 1):
            self._give_up_unreadable(session.accepted + 1)
            if is_alone:
                return
        expected = session.accepted + 1
        text = f"not all of the frame was applied; send again from {expected}"
        self._refuse(SequenceGapError(text, expected=expected), expected, RETRY_AFTER_MS)

    def _give_up_unreadable(self, sequence: int) -> None:
        text = f"the message cannot be read after {ATTEMPTS} attempts"
        self._give_up(sequence, InvalidDataError(text))

    def _answer_fault(self, fault: Exception, sequence: int) -> None:
        """Have a message that met a fault of ours sent again; it must not hold up the others for long."""
        if sequence and self._failures.is_exhausted(sequence):
            self._give_up(sequence, InvalidDataError(answer_to(fault).text))
            return
        self._requested = sequence
        self._failures.note_readable(sequence)
        self._enqueue_error(fault, sequence, RETRY_AFTER_MS if sequence else 0)

    def _refuse_for_good(self, error: InvalidDataError, result: Result) -> None:
        """Refuse a message for what it holds; if it has a number of this session, Acks cover that."""
        sequence = self._sequence_of(result)
        session_id = result.session_id if isinstance(result, Update | InvalidDataError) else ""
        if sequence and session_id and session_id == self.session_id:
            self._give_up(sequence, error)
        else:
            self._refuse(error, sequence)

    def _give_up(self, sequence: int, error: InvalidDataError) -> None:
        """Refuse a message by its sequence, which Acks cover from now on."""
        try:
            ticket, session = self._pipeline.refuse(self.session_id, sequence, self.holder, self)
        except SequenceGapError as gap:
            self._request(gap)
        except BridgeError as refusal:  # the session is gone
            self._refuse(refusal, sequence)
        else:
            self._refuse(error, sequence)
            self._acks.expect_sequence(ticket, session)

    def _refuse(self, error: BridgeError, sequence: int, retry_after_ms: int = 0) -> None:
        is_foreign = isinstance(error, UnknownSessionError | ForeignSessionError)
        self._may_skip = self._may_skip and not is_foreign
        if is_foreign and not self._may_complain():
            self._deps.telemetry.error_answered("INVALID_SESSION", "not answered: too many of them")
            return
        if isinstance(error, OverloadedError):
            retry_after_ms = error.retry_after_ms
            self._requested = sequence
            self._failures.note_readable(sequence)
        elif isinstance(error, FrameLimitError):
            retry_after_ms = RETRY_AFTER_MS
        self._enqueue_error(error, sequence, retry_after_ms)

    def _may_complain(self) -> bool:
        now = time.monotonic()
        if now < self._quiet_until:
            return False
        self._quiet_until = now + QUIET_SECONDS
        return True

    def _sequence_of(self, result: Result) -> int:
        """Return the sequence of a message, 0 where it is unknown or another session counts it."""
        if not isinstance(result, Update | InvalidDataError):
            return 0
        is_own = result.session_id == self.session_id or not self.session_id
        return result.sequence if is_own or result.sequence > SEQUENCE_LIMIT else 0

    def _enqueue_last_ack(self) -> None:
        """Enqueue an Ack of the images that were decided on after the last one, before the stream ends."""
        session = self._session()
        if session is None or not self._uses_sequences or self.ending is not None:
            return
        if (ack := self._acks.last(session)) is not None:
            self._enqueue(ack)

    def _enqueue_commands(self) -> None:
        if not self.session_id or self.is_closing:
            return
        for command in self._pipeline.take_commands(self.session_id):
            self._enqueue(responses.command(command))

    def _enqueue_error(self, error: Exception, sequence: int, retry_after_ms: int) -> None:
        answer = answer_to(error)
        text = answer.text or str(error)
        self._deps.telemetry.error_answered(wire.ErrorResponse.ErrorCode.Name(answer.code), text)
        self._enqueue(responses.error(answer.code, text, sequence, retry_after_ms))

    def _enqueue(self, response: wire.MetricsResponse) -> None:
        response.session_id = self.session_id
        response.timestamp_ms = max(0, time.time_ns() // 1_000_000)
        self.outgoing.put(response)
