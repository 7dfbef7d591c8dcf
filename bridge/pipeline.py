"""The path of a message: admit it, give it to every sink, have it committed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bridge.admission import UNKNOWN_CALLER, Admission, Caller
from bridge.commands import Command, Commands
from bridge.commit_group import CommitListener
from bridge.committer import Committer
from bridge.errors import InvalidDataError, OverloadedError, UnknownSessionError
from bridge.lifecycle import (
    AlertReceived,
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Event,
    Expired,
    Moved,
    Registered,
    SentElsewhere,
    SequenceAdvanced,
    Superseded,
)
from bridge.model import (
    INCIDENTAL,
    SILENT,
    Client,
    CommandResult,
    Config,
    Heartbeat,
    Message,
    Stage,
    Status,
    StatusChange,
    Update,
)
from bridge.protocol import CommandType
from bridge.sequences import check_turn
from bridge.session import Holder, Session
from bridge.sessions import Registration, Sessions
from bridge.sinks import Sink
from bridge.telemetry import Telemetry

RETRY_AFTER_MS = 1_000

EXPIRED = Expired()


class Pipeline:
    """Everything that happens to sessions passes through here, in order."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        commands: Commands,
        sinks: Sequence[Sink],
        committer: Committer,
        telemetry: Telemetry,
        is_shared: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Serve `sinks` in the order given; `is_shared`: a session that goes on at another bridge takes its state along."""
        self._is_shared = is_shared
        self._sessions = sessions
        self._commands = commands
        self._sinks = tuple(sinks)
        self._committer = committer
        self._telemetry = telemetry
        self._clock = clock
        self.admission = Admission()
        """Who may stream."""
        self._streams: dict[str, int] = {}

    def register(
        self,
        session_id: str,
        client: Client,
        config: Config,
        archived: Session | None = None,
        *,
        attempts_before: int = 0,
        caller: Caller = UNKNOWN_CALLER,
    ) -> Registration:
        """Register a session, as `Sessions.register` does; raises what that raises.

        From now on its streams must show the token returned, or, for a client that does not name itself,
        come from a host that it was registered from.
        """
        with self.admission.noting_refusal(session_id, caller):
            registration = self._sessions.register(
                session_id,
                client,
                config,
                archived,
                attempts_before=attempts_before,
                owner=caller.identity,
            )
        session = registration.session
        if registration.former is not None:
            self._supersede(registration.former)
        self.admission.note_registration(session.id, caller)
        session.client_host = caller.host
        if client.instance_id:
            registration = replace(registration, token=session.proof.issue_token())
            self.admission.note_tokens(session)
        else:
            session.proof.add_host(caller.host)
        # A command to an earlier attempt, or from before the session expired, must not stop this one.
        session.restored_state.pop(self._commands.name, None)
        if registration.is_new:
            self._commands.discard(session.id)
        what = "registered" if registration.is_new else "registered again"
        name = client.name[:64]
        self._telemetry.session_changed(session.id, what, attempt=session.attempt, client=name)
        self._emit(session, Registered(), self._clock())
        self._committer.request_commit()
        return registration

    def restore(self, session: Session, *, is_expected: bool = False) -> None:
        """Add a session from before a restart, or from another bridge; `is_expected`: its client comes just now."""
        self._sessions.restore(session, is_expected=is_expected)
        self.admission.note_tokens(session)
        if session.connected and not is_expected:
            self._emit(session, Disconnected(), self._clock())

    def admit(self, session_id: str, caller: Caller, *, bound_to: str) -> Session:
        """Return the session that a stream is to belong to; `bound_to` is the one it belongs to, or "".

        Raises UnknownSessionError, ForeignSessionError for a caller that has not registered the session,
        InvalidDataError for a stream that belongs to another session.
        """
        self.admission.check_owned(session_id, caller)
        session = self._sessions.get(session_id)
        if bound_to:
            raise InvalidDataError("session_id: this stream belongs to another session")
        self.admission.check(session, caller)
        return session

    def accept(
        self, update: Update, holder: Holder, listener: CommitListener
    ) -> tuple[int, Session]:
        """Apply one update; return the ticket of the commit that makes it durable, and its session.

        An update that has been applied before is not applied again, and none is applied before those that
        its client numbered lower: an Ack covers all of these.

        Raises UnknownSessionError, also for a session that has ended and was not registered again,
        ForeignSessionError unless `holder` sends the session, InvalidDataError, SequenceGapError, and
        OverloadedError when too much waits for the disk.
        """
        session = self._sessions.held_by(update.session_id, holder)
        sequence = update.sequence
        is_new = not sequence or sequence > session.accepted
        is_from_loop = is_new and not isinstance(update.message, INCIDENTAL)
        if is_from_loop and session.stage is Stage.ENDED and not session.is_resumed:
            raise UnknownSessionError("this session has ended; register it again to go on")
        if sequence:
            check_turn(sequence, session.accepted, session.skipped)
        now = self._clock()
        if self._committer.is_full and not isinstance(update.message, Heartbeat):
            raise OverloadedError("too much is waiting for the disk", retry_after_ms=RETRY_AFTER_MS)
        self._sessions.touch(session, now)
        if not session.connected:
            self._revive(session, update.message, now, is_from_loop=is_from_loop)
        if is_new:
            if sequence:
                session.accepted = sequence
                if isinstance(update.message, SILENT):
                    self._emit(session, SequenceAdvanced(), now)
            self._apply(session, update, now)
        ticket = self._committer.add_waiter(listener, update.size_bytes, is_urgent=not sequence)
        return ticket, session

    def refuse(
        self, session_id: str, sequence: int, holder: Holder, listener: CommitListener
    ) -> tuple[int, Session]:
        """Pass over a message that will never be applied, as its client learns from its sequence.

        Returns the ticket of the commit that makes this durable, and the session. Raises
        UnknownSessionError, ForeignSessionError, SequenceGapError.
        """
        session = self._sessions.held_by(session_id, holder)
        if not session.has_skipped(sequence):
            check_turn(sequence, session.accepted, session.skipped)
        session.updated_at = now = self._clock()
        if sequence > session.accepted:
            session.accepted = sequence
            self._emit(session, SequenceAdvanced(), now)
        return self._committer.add_waiter(listener, 0, is_urgent=False), session

    def begin_at(
        self, session_id: str, sequence: int, holder: Holder, *, may_skip: bool = True
    ) -> None:
        """Let a client that names itself begin its stream at any sequence: it has nothing lower any more.

        Either it has given that up, or another bridge has it, or this one had it before it lost its state.
        Raises UnknownSessionError, ForeignSessionError.
        """
        session = self._sessions.held_by(session_id, holder)
        if not may_skip or not holder.instance_id or sequence <= session.accepted + 1:
            return
        first, session.accepted = session.accepted + 1, sequence - 1
        self._emit(session, SequenceAdvanced(first, session.accepted), self._clock())

    def held_by(self, session_id: str, holder: Holder) -> Session | None:
        """Return a session, or None where it has expired or another process has taken it over."""
        found = self._sessions.find(session_id)
        return found if found and found.holder == holder else None

    def connect(self, session_id: str) -> None:
        """Count a stream of a session, and send it the commands that may not have arrived."""
        self._streams[session_id] = self._streams.get(session_id, 0) + 1
        session = self._sessions.find(session_id)
        if session is None:
            return
        session.closed_at = None
        if session.client.instance_id:
            # Clients that name themselves know commands by their ids, and carry out each once.
            self._commands.requeue_unanswered(session_id)

    def disconnect(self, session_id: str) -> None:
        """Count a stream less; without the last one the session is disconnected."""
        left = self._streams.pop(session_id, 0) - 1
        if left > 0:
            self._streams[session_id] = left
            return
        session = self._sessions.find(session_id)
        if session is None:
            return
        self._sessions.note_closed(session)
        if session.connected:
            self._telemetry.session_changed(session_id, "disconnected")
            self._emit(session, Disconnected(), self._clock())

    def send_elsewhere(self, session_id: str) -> None:
        """Note that a client is asked to connect again; where bridges share sessions, no copy stays behind here."""
        session = self._sessions.find(session_id)
        if session is not None and session.connected:
            self._telemetry.session_changed(session_id, "sent elsewhere")
            if not self._is_shared:
                self._emit(session, SentElsewhere(), self._clock())

    def submit(
        self,
        session_id: str,
        type: CommandType,
        parameters: Mapping[str, str],
        command_id: str = "",
        source: str = "",
        expires_at: float = 0.0,
    ) -> Command:
        """Queue a command, as `Commands.submit` does; it outlives the bridge.

        Raises UnknownSessionError, InvalidDataError for parameters that no loop can use, LimitError.
        """
        session = self._sessions.get(session_id)
        if (known := self._commands.find(session_id, command_id)) is not None:
            return known
        command = self._commands.submit(
            session_id, type, parameters, command_id, source, expires_at
        )
        self._emit(session, command.as_queued(), self._clock())
        self._committer.request_commit()
        return command

    def take_commands(self, session_id: str) -> list[Command]:
        """Return the queued commands of a session, which count as sent from now on."""
        commands = self._commands.take(session_id)
        session = self._sessions.find(session_id)
        if session is None:
            return []
        for command in commands:
            sent = CommandSent(command.id, command.type, command.parameters)
            self._emit(session, sent, self._clock())
        return commands

    def note_alert(self, session_id: str, alert: AlertReceived) -> None:
        """Keep an alert about a session; it outlives the bridge. Raises UnknownSessionError."""
        self._emit(self._sessions.get(session_id), alert, self._clock())
        self._committer.request_commit()

    def expire_sessions(self) -> None:
        """Disconnect the sessions that fell silent, and expire those that have lingered long enough."""
        for session, event in self._sessions.due():
            self._telemetry.session_changed(session.id, type(event).__name__.lower())
            if isinstance(event, Expired):
                if session.is_unused:
                    self._telemetry.dropped("session", "unused")
                self.drop(session)
            else:
                self._emit(session, event, self._clock())

    def drop(self, session: Session, event: Expired | Moved = EXPIRED) -> None:
        """Let a session leave memory, and every sink with it."""
        self._emit(session, event, self._clock())
        self._sessions.expire(session, is_owned=isinstance(event, Expired))
        self._commands.discard(session.id)
        self._committer.request_commit()

    def _supersede(self, former: Session) -> None:
        """Let an attempt end where nobody has seen its end, and have it kept."""
        if former.stage is Stage.LIVE:
            former.apply(Ended(Stage.LOST), former.updated_at)
        self._emit(former, Superseded(), self._clock())

    def _revive(
        self, session: Session, message: Message, now: float, *, is_from_loop: bool
    ) -> None:
        """Mark a session as connected, and as live where it was lost or has been resumed."""
        is_resuming = session.stage is Stage.ENDED and session.is_resumed and is_from_loop
        if session.stage is Stage.LOST or is_resuming:
            session.stage = Stage.LIVE
        if session.stage is Stage.LIVE:
            self._telemetry.session_changed(session.id, "connected")
            self._emit(session, Connected(), now)
        if is_resuming and session.status.is_end and not isinstance(message, StatusChange):
            self._emit(session, StatusChange(Status.RUNNING), now)

    def _apply(self, session: Session, update: Update, now: float) -> None:
        message = update.message
        if isinstance(message, CommandResult):
            self._answer(session, message, now)
            return
        self._emit(session, message, now)
        if isinstance(message, StatusChange) and message.status.is_end:
            self._telemetry.session_changed(session.id, message.status.value)
            self._emit(session, Ended(Stage.ENDED), now)

    def _answer(self, session: Session, result: CommandResult, now: float) -> None:
        if self._commands.find(session.id, result.command_id) is None:
            raise InvalidDataError("command_result.command_id: unknown command")
        command = self._commands.answer(session.id, result, now)
        if command is None:
            return  # answered before: the command went out twice, and so did the answer
        self._emit(session, CommandAnswered(command.type, result), now)

    def _emit(self, session: Session, event: Event, now: float) -> None:
        for sink in self._sinks:
            try:
                sink.consume(session, event, now)
            except Exception as error:  # noqa: BLE001 -- one sink's fault must not cost the others
                self._telemetry.unexpected_error(type(sink).__name__, error)
        try:
            session.apply(event, now)
        except Exception as error:  # noqa: BLE001 -- as above; the sinks have taken it
            self._telemetry.unexpected_error("session", error)
