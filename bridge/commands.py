"""Commands on their way to a training loop, and their answers."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from typing import Any

from bridge.command_bounds import UNBOUNDED, CommandBounds
from bridge.errors import LimitError
from bridge.lifecycle import CommandAnswered, CommandQueued, CommandSent, Event, Expired, Registered
from bridge.model import CommandResult
from bridge.protocol import CommandType
from bridge.session import Session

KEPT_PER_SESSION = 100

ALERT_SOURCE = "alert "
"""What the source of a command begins with that an alert has sent; the alert's name follows."""

CHECKPOINT_KEY = "commands"
"""Where a checkpoint of a session keeps its commands."""


class State(StrEnum):
    """How far a command has come."""

    QUEUED = "queued"
    SENT = "sent"
    APPLIED = "applied"
    REFUSED = "refused"
    EXPIRED = "expired"
    """It was not answered in the time that it had; an answer that comes later takes its place."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command and its state."""

    id: str
    session_id: str
    type: CommandType
    parameters: Mapping[str, str]
    queued_at: float
    """Seconds since 1970."""
    state: State = State.QUEUED
    result: CommandResult | None = None
    source: str = ""
    """What sent it, such as "alert TrainingDiverging" or "person at 10.0.0.7"; "": not known."""
    answered_at: float = 0.0
    """Seconds since 1970; 0: it was not answered, or by a loop of an older bridge."""
    expires_at: float = 0.0
    """Until when it is of use, in seconds since 1970; 0: however long it takes."""
    was_sent: bool = False
    """It had left for the loop when it expired."""

    def as_queued(self) -> CommandQueued:
        """Return the event that it was submitted."""
        return CommandQueued(self.id, self.type, self.parameters, self.source, self.expires_at)


class Commands:
    """The commands of every session, newest last."""

    name = CHECKPOINT_KEY

    def __init__(
        self, *, bounds: CommandBounds = UNBOUNDED, clock: Callable[[], float] = time.time
    ) -> None:
        """Start empty; no command goes beyond the bounds, whoever sends it."""
        self._bounds = bounds
        self._clock = clock
        self._commands: dict[str, dict[str, Command]] = {}
        self._waiting: dict[str, deque[str]] = {}
        self._subscribers: dict[str, Callable[[], None]] = {}

    def submit(
        self,
        session_id: str,
        type: CommandType,
        parameters: Mapping[str, str],
        command_id: str = "",
        source: str = "",
        expires_at: float = 0.0,
    ) -> Command:
        """Queue a command, or return the one that has this id already; `source` is what sent it.

        One that is not answered until `expires_at` is not sent from then on; 0: as the bounds say.

        Raises InvalidDataError for parameters that no loop can use or that are out of bounds, LimitError when
        the session has too many unanswered commands.
        """
        commands = self._commands.setdefault(session_id, {})
        if command_id in commands:
            return commands[command_id]
        command = self.prepare(session_id, type, parameters, command_id, source, expires_at)
        self._make_room(commands)
        commands[command.id] = command
        self._waiting.setdefault(session_id, deque()).append(command.id)
        on_available = self._subscribers.get(session_id)
        if on_available is not None:
            on_available()
        return command

    def prepare(
        self,
        session_id: str,
        type: CommandType,
        parameters: Mapping[str, str],
        command_id: str = "",
        source: str = "",
        expires_at: float = 0.0,
    ) -> Command:
        """Return a command as `submit` would queue it; raises InvalidDataError as that does."""
        self._bounds.check(type, parameters)
        now = self._clock()
        return Command(
            command_id or secrets.token_hex(8),
            session_id,
            type,
            dict(parameters),
            now,
            source=source,
            expires_at=expires_at or self._bounds.expiry(now),
        )

    def find(self, session_id: str, command_id: str) -> Command | None:
        """Return a command, or None."""
        self._expire(session_id)
        return self._commands.get(session_id, {}).get(command_id)

    def subscribe(self, session_id: str, on_available: Callable[[], None]) -> None:
        """Call `on_available` whenever a command is queued for the session; replaces the previous subscriber."""
        self._subscribers[session_id] = on_available

    def unsubscribe(self, session_id: str, on_available: Callable[[], None]) -> None:
        """Stop calling `on_available`, unless another subscriber has replaced it."""
        if self._subscribers.get(session_id) == on_available:
            del self._subscribers[session_id]

    def take(self, session_id: str) -> list[Command]:
        """Return the queued commands of a session, which count as sent from now on."""
        self._expire(session_id)
        waiting = self._waiting.pop(session_id, ())
        commands = self._commands.get(session_id, {})
        taken = [
            replace(commands[command_id], state=State.SENT)
            for command_id in waiting
            if command_id in commands
        ]
        commands.update((command.id, command) for command in taken)
        return taken

    def requeue_unanswered(self, session_id: str) -> None:
        """Queue the commands that were sent and not answered: their stream may have broken before they arrived."""
        self._expire(session_id)
        commands = self._commands.get(session_id, {})
        unanswered = [command for command in commands.values() if command.state is State.SENT]
        if not unanswered:
            return
        for command in unanswered:
            commands[command.id] = replace(command, state=State.QUEUED)
        waiting = self._waiting.setdefault(session_id, deque())
        waiting.extendleft(command.id for command in reversed(unanswered))

    def answer(
        self, session_id: str, result: CommandResult, at: float | None = None
    ) -> Command | None:
        """Record the answer to a command; return None for a command that is unknown or has its answer.

        `at` is when the answer came, by default now.
        """
        commands = self._commands.get(session_id, {})
        command = commands.get(result.command_id)
        if command is None or command.result is not None:
            return None
        # It may have been queued anew when its stream broke: the answer was on its way.
        self._discard_waiting(session_id, command.id)
        state = State.APPLIED if result.applied else State.REFUSED
        answered_at = self._clock() if at is None else at
        commands[command.id] = replace(command, state=state, result=result, answered_at=answered_at)
        return commands[command.id]

    def of(self, session_id: str) -> list[Command]:
        """Return the commands of a session, oldest first."""
        self._expire(session_id)
        return list(self._commands.get(session_id, {}).values())

    def discard(self, session_id: str) -> None:
        """Drop everything of a session."""
        self._commands.pop(session_id, None)
        self._waiting.pop(session_id, None)
        self._subscribers.pop(session_id, None)

    def snapshot(self, session: Session) -> list[tuple[Any, ...]] | None:
        """Return the commands of a session as plain values, or None if it has none."""
        self._expire(session.id)
        commands = self._commands.get(session.id)
        return [_row_of(command) for command in commands.values()] if commands else None

    def replay(self, session: Session, event: Event, received: float) -> None:
        """Apply an event from the journal: what was queued or unanswered before a restart still is."""
        if isinstance(event, Registered):
            rows = session.restored_state.pop(CHECKPOINT_KEY, ())
            for command in commands_of(session.id, rows):
                self._put(command)
        elif isinstance(event, CommandQueued):
            self._put(
                Command(
                    event.command_id,
                    session.id,
                    event.type,
                    event.parameters,
                    received,
                    source=event.source,
                    expires_at=event.expires_at,
                )
            )
        elif isinstance(event, CommandSent):
            self._advance(session.id, event.command_id, State.SENT)
        elif isinstance(event, CommandAnswered):
            self.answer(session.id, event.result, received)
        elif isinstance(event, Expired):
            self.discard(session.id)

    def _expire(self, session_id: str) -> None:
        """Let go of the commands whose time is over."""
        commands, now = self._commands.get(session_id, {}), self._clock()
        for command in commands.values():
            expired = expired_at(command, now)
            if expired is not command:
                commands[command.id] = expired
                self._discard_waiting(session_id, command.id)

    def _discard_waiting(self, session_id: str, command_id: str) -> None:
        waiting = self._waiting.get(session_id)
        if waiting is not None and command_id in waiting:
            waiting.remove(command_id)

    def _put(self, command: Command) -> None:
        commands = self._commands.setdefault(command.session_id, {})
        commands[command.id] = command
        if len(commands) > KEPT_PER_SESSION:
            del commands[next(iter(commands))]
        if command.state is State.QUEUED:
            self._waiting.setdefault(command.session_id, deque()).append(command.id)

    def _advance(self, session_id: str, command_id: str, state: State) -> None:
        command = self.find(session_id, command_id)
        if command is not None and command.result is None:
            self._commands[session_id][command_id] = replace(command, state=state)
            self._discard_waiting(session_id, command_id)

    def _make_room(self, commands: dict[str, Command]) -> None:
        if len(commands) < KEPT_PER_SESSION:
            return
        answered = next(
            (one.id for one in commands.values() if one.result or one.state is State.EXPIRED), None
        )
        if answered is None:
            raise LimitError(f"{KEPT_PER_SESSION} commands of this session are unanswered")
        del commands[answered]


def expired_at(command: Command, now: float) -> Command:
    """Return a command as it is at a time: without an answer by then, its time may be over."""
    is_open = command.state in (State.QUEUED, State.SENT)
    if not is_open or not 0 < command.expires_at <= now:
        return command
    return replace(command, state=State.EXPIRED, was_sent=command.state is State.SENT)


def commands_of(session_id: str, rows: Iterable[Sequence[Any]]) -> Iterator[Command]:
    """Yield the commands of a snapshot, oldest first."""
    return (_command_of(session_id, row) for row in rows)


def _row_of(command: Command) -> tuple[Any, ...]:
    result = command.result and astuple(command.result)
    submitted = (command.id, command.type.value, dict(command.parameters), command.queued_at)
    always = (*submitted, command.state.value, result)
    if command.expires_at:
        later = (command.expires_at, command.was_sent)
        return (*always, command.source, command.answered_at, *later)
    if not (command.source or command.answered_at):
        return always
    return (*always, command.source, command.answered_at)


def _command_of(session_id: str, row: Sequence[Any]) -> Command:
    command_id, number, parameters, queued_at, state, result, *rest = row
    return Command(
        command_id,
        session_id,
        CommandType(number),
        parameters,
        queued_at,
        State(state),
        CommandResult(*result) if result else None,
        *rest,
    )
