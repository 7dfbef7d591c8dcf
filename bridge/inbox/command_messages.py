"""Commands on their way to another bridge, as plain values."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from bridge.commands import Command
from bridge.errors import InvalidDataError, StorageError
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.storage.inbox import InboxMessage
from bridge.storage.packed import packed, unpacked

COMMAND = "command"
"""The kind of these messages."""

DONE_BEFORE = "the command was for an earlier attempt of its session"


CLOCKS_SECONDS = 60.0
"""How far the clocks of two bridges may be apart."""


class Submit(Protocol):
    """Submits commands, as `Pipeline.submit` does."""

    def __call__(
        self,
        session_id: str,
        type: CommandType,
        parameters: Mapping[str, str],
        command_id: str,
        source: str,
        expires_at: float,
        /,
    ) -> Command:
        """Queue a command, or return the one that has this id already; raises what that raises."""


def message_of(command: Command, attempt: int) -> InboxMessage:
    """Return a command for an attempt of its session as a message."""
    payload = packed(
        {
            "type": command.type.value,
            "parameters": dict(command.parameters),
            "source": command.source,
            "queued_at": command.queued_at,
            "expires_at": command.expires_at,
            "attempt": attempt,
        }
    )
    return InboxMessage(command.session_id, command.id, COMMAND, payload)


def command_of(message: InboxMessage) -> tuple[Command, int]:
    """Return the command of a message, and the attempt that it is for; raises StorageError for one that is damaged."""
    fields = unpacked(message.payload)
    try:
        command = Command(
            message.message_id,
            message.session_id,
            CommandType(fields["type"]),
            fields["parameters"],
            fields["queued_at"],
            source=fields["source"],
            expires_at=fields["expires_at"],
        )
        return command, fields["attempt"]
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"a damaged command in the inbox ({type(error).__name__})") from error


def command_receiver(
    submit: Submit, *, clock: Callable[[], float] = time.time
) -> Callable[[Session, InboxMessage], bool]:
    """Return what submits the commands of messages: one for a session that is over counts as expired at once.

    It raises InvalidDataError for a command to an earlier attempt, and what `submit` raises.
    """

    def receive(session: Session, message: InboxMessage) -> bool:
        command, attempt = command_of(message)
        was_before = command.queued_at < session.registered_at - CLOCKS_SECONDS
        if attempt != session.attempt or was_before:
            raise InvalidDataError(DONE_BEFORE)
        expires_at = command.expires_at
        if session.ended_at:
            expires_at = min(expires_at or clock(), clock())
        given = (command.type, command.parameters, command.id, command.source)
        submit(session.id, *given, expires_at)
        return True

    return receive
