"""Orders on their way to a training loop, and their answers."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from bridge.errors import LimitError
from bridge.model import CommandResult, CommandType

KEPT_PER_SESSION = 100


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


class Commands:
    """The orders of every session, newest last, and a bell that rings when one is waiting."""

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

        Raises LimitError when the session has too many orders unanswered.
        """
        commands = self._commands.setdefault(session_id, {})
        if command_id in commands:
            return commands[command_id]
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

    def _make_room(self, commands: dict[str, Command]) -> None:
        if len(commands) < KEPT_PER_SESSION:
            return
        answered = next(
            (command.id for command in commands.values() if command.result is not None), None
        )
        if answered is None:
            raise LimitError(f"{KEPT_PER_SESSION} commands of this session are unanswered")
        del commands[answered]
