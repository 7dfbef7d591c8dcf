"""Orders on their way to a training loop, and their answers."""

import math
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from bridge.errors import InvalidDataError, LimitError
from bridge.model import (
    CommandAnswered,
    CommandAsked,
    CommandResult,
    CommandSent,
    Event,
    Forgotten,
    Registered,
)
from bridge.protocol import CommandType

KEPT_PER_SESSION = 100

BATCH_SIZE = re.compile(r"[0-9]{1,10}")
LEARNING_RATE = re.compile(r"[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?")
LARGEST_BATCH_SIZE = 2**31 - 1
"""What every loop can hold in an integer."""

PART = "commands"
"""What a checkpoint calls the orders of a session."""


class State(StrEnum):
    """How far a command has come."""

    QUEUED = "queued"
    SENT = "sent"
    APPLIED = "applied"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Command:
    """One order, as far as it has come."""

    id: str
    session_id: str
    type: CommandType
    parameters: Mapping[str, str]
    asked_at: float
    state: State = State.QUEUED
    result: CommandResult | None = None


class Known(Protocol):
    """A session, as far as its orders go."""

    id: str
    parts: dict[str, Any]


class Commands:
    """The orders of every session, newest last, and a bell that rings when one is waiting."""

    name = PART

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """Start empty."""
        self._clock = clock
        self._commands: dict[str, dict[str, Command]] = {}
        self._waiting: dict[str, deque[str]] = {}
        self._bells: dict[str, Callable[[], None]] = {}

    def ask(
        self,
        session_id: str,
        type: CommandType,
        parameters: Mapping[str, str],
        command_id: str = "",
    ) -> Command:
        """Queue an order; asking again with the same id returns the one that stands.

        Raises InvalidDataError for parameters that no loop can use, LimitError when the session has too
        many orders unanswered.
        """
        commands = self._commands.setdefault(session_id, {})
        if command_id in commands:
            return commands[command_id]
        check_parameters(type, parameters)
        self._make_room(commands)
        command = Command(
            command_id or secrets.token_hex(8), session_id, type, dict(parameters), self._clock()
        )
        commands[command.id] = command
        self._waiting.setdefault(session_id, deque()).append(command.id)
        bell = self._bells.get(session_id)
        if bell is not None:
            bell()
        return command

    def find(self, session_id: str, command_id: str) -> Command | None:
        """Return an order, or None."""
        return self._commands.get(session_id, {}).get(command_id)

    def listen(self, session_id: str, bell: Callable[[], None]) -> None:
        """Call `bell` whenever an order is waiting for the session; the newest listener replaces the one before."""
        self._bells[session_id] = bell

    def unlisten(self, session_id: str, bell: Callable[[], None]) -> None:
        """Stop calling `bell`."""
        if self._bells.get(session_id) == bell:
            del self._bells[session_id]

    def take(self, session_id: str) -> list[Command]:
        """Return the waiting orders of a session, which from now on count as sent."""
        waiting = self._waiting.pop(session_id, ())
        commands = self._commands.get(session_id, {})
        taken = [
            replace(commands[command_id], state=State.SENT)
            for command_id in waiting
            if command_id in commands
        ]
        commands.update((command.id, command) for command in taken)
        return taken

    def send_again(self, session_id: str) -> None:
        """Queue what was sent and never answered: the stream it went to may have broken before it arrived."""
        commands = self._commands.get(session_id, {})
        unanswered = [command for command in commands.values() if command.state is State.SENT]
        if not unanswered:
            return
        for command in unanswered:
            commands[command.id] = replace(command, state=State.QUEUED)
        waiting = self._waiting.setdefault(session_id, deque())
        waiting.extendleft(command.id for command in reversed(unanswered))

    def answer(self, session_id: str, result: CommandResult) -> Command | None:
        """Note what became of an order; None for one that nobody gave, or that was answered before."""
        commands = self._commands.get(session_id, {})
        command = commands.get(result.command_id)
        if command is None or command.result is not None:
            return None
        state = State.APPLIED if result.applied else State.REFUSED
        commands[command.id] = replace(command, state=state, result=result)
        return commands[command.id]

    def of(self, session_id: str) -> list[Command]:
        """Return the orders of a session, oldest first."""
        return list(self._commands.get(session_id, {}).values())

    def forget(self, session_id: str) -> None:
        """Drop everything of a session."""
        self._commands.pop(session_id, None)
        self._waiting.pop(session_id, None)
        self._bells.pop(session_id, None)

    def snapshot(self, session: Known) -> list[tuple[Any, ...]] | None:
        """Return the orders of a session as plain values, or None where there are none."""
        commands = self._commands.get(session.id)
        return [_row_of(command) for command in commands.values()] if commands else None

    def replay(self, session: Known, event: Event, received: float) -> None:
        """Take an event in once more: what was queued or unanswered before a restart still is."""
        if isinstance(event, Registered):
            for row in session.parts.pop(PART, ()):
                self._put(_command_of(session.id, row))
        elif isinstance(event, CommandAsked):
            order = (event.command_id, session.id, event.type, event.parameters)
            self._put(Command(*order, asked_at=received))
        elif isinstance(event, CommandSent):
            self._advance(session.id, event.command_id, State.SENT)
        elif isinstance(event, CommandAnswered):
            self.answer(session.id, event.result)
        elif isinstance(event, Forgotten):
            self.forget(session.id)

    def _put(self, command: Command) -> None:
        commands = self._commands.setdefault(command.session_id, {})
        commands[command.id] = command
        if len(commands) > KEPT_PER_SESSION:
            del commands[next(iter(commands))]
        if command.state is State.QUEUED:
            self._waiting.setdefault(command.session_id, deque()).append(command.id)

    def _advance(self, session_id: str, command_id: str, state: State) -> None:
        command = self.find(session_id, command_id)
        if command is not None:
            self._commands[session_id][command_id] = replace(command, state=state)
            waiting = self._waiting.get(session_id, ())
            self._waiting[session_id] = deque(one for one in waiting if one != command_id)

    def _make_room(self, commands: dict[str, Command]) -> None:
        if len(commands) < KEPT_PER_SESSION:
            return
        answered = next(
            (command.id for command in commands.values() if command.result is not None), None
        )
        if answered is None:
            raise LimitError(f"{KEPT_PER_SESSION} commands of this session are unanswered")
        del commands[answered]


def check_parameters(type: CommandType, parameters: Mapping[str, str]) -> None:
    """Check what a command asks for, whichever way it came in.

    A batch size is a whole number from 1 to LARGEST_BATCH_SIZE, a learning rate a finite number above 0;
    both must be given. Raises InvalidDataError that says so.
    """
    if type is CommandType.ADJUST_BATCH_SIZE:
        size = parameters.get("batch_size", "")
        if not BATCH_SIZE.fullmatch(size) or not 1 <= int(size) <= LARGEST_BATCH_SIZE:
            raise InvalidDataError(
                f"batch_size must be a whole number from 1 to {LARGEST_BATCH_SIZE}"
            )
    elif type is CommandType.CHANGE_LEARNING_RATE:
        rate = parameters.get("learning_rate", "")
        if not LEARNING_RATE.fullmatch(rate) or not 0 < float(rate) < math.inf:
            raise InvalidDataError("learning_rate must be a finite number above 0, as in 0.0003")


def _row_of(command: Command) -> tuple[Any, ...]:
    result = command.result and astuple(command.result)
    order = (command.id, command.type.value, dict(command.parameters), command.asked_at)
    return (*order, command.state.value, result)


def _command_of(session_id: str, row: Sequence[Any]) -> Command:
    command_id, number, parameters, asked_at, state, result = row
    return Command(
        command_id,
        session_id,
        CommandType(number),
        parameters,
        asked_at,
        State(state),
        CommandResult(*result) if result else None,
    )
