"""Check a command as a request gives it, and submit it."""

import json
import math
import re
import time
from collections.abc import Mapping

from aiohttp import web

from bridge.commands import Command
from bridge.errors import InvalidDataError
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.web.client_address import client_address
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.errors import ConflictError
from bridge.web.identity import sender_of
from bridge.web.session_commands import known_commands

COMMAND_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
PARAMETER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
MAX_PARAMETERS = 16
MAX_VALUE_LENGTH = 256
MAX_NAME_LENGTH = 64
LONGEST_SECONDS = 604_800.0
"""A week: how long a command may have."""


async def submit_from_request(
    request: web.Request,
    session: Session,
    *,
    type: object,
    parameters: object,
    command_id: object,
    asker: str,
    expires_in_seconds: object = None,
) -> Command:
    """Queue a command for a session and return it; an id that is known returns its command.

    `asker` is what sends it, such as "person"; whose token it came with, and from which address, is kept beside it.

    Raises InvalidDataError for values that cannot be a command, ConflictError where the session or the id
    rules it out, and LimitError when too many commands are unanswered.
    """
    deps = deps_of(request)
    checked = _checked_type(type), checked_parameters(parameters), _checked_id(command_id)
    expires_at = _expires_at(expires_in_seconds)
    if deps.inbox is not None and deps.sessions.find(session.id) is not None:
        await deps.inbox.catch_up()
    existing = known_command(deps, session, checked[2])
    if existing is not None:
        return _same(existing, *checked[:2])
    here = deps.sessions.find(session.id)
    if session.ended_at or (here is None and deps.inbox is None):
        raise ConflictError("this session is over: no training loop is left to carry out a command")
    source = sender_of(request, asker)
    if here is not None:
        command = deps.submit_command(session.id, *checked, source, expires_at)
    else:
        command = deps.commands.prepare(session.id, *checked, source, expires_at)
    if deps.inbox is not None and (here is None or not await deps.inbox.is_kept(here)):
        command = _same(await deps.inbox.submit(session, command), *checked[:2])
    _log_queued(deps, command, client_address(request))
    return command


def known_command(deps: AppDependencies, session: Session, command_id: str) -> Command | None:
    """Return a command that has an id already, as far as this bridge knows."""
    return next((one for one in known_commands(deps, session) if one.id == command_id), None)


def _same(command: Command, type: CommandType, parameters: Mapping[str, str]) -> Command:
    """Return a command that is already known by its id; raises ConflictError where it is another one."""
    if (command.type, command.parameters) != (type, parameters):
        raise ConflictError("another command already has this command_id")
    return command


def _log_queued(deps: AppDependencies, command: Command, remote: str | None) -> None:
    deps.telemetry.event(
        "command queued",
        session_id=command.session_id,
        type=command.type.name,
        command_id=command.id,
        sent_by=command.source,
        remote=remote,
    )


def checked_asker(value: object) -> str:
    """Return what the history says of a program that sends a command, with the name that it gives itself."""
    if value is None or value == "":
        return "program"
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_NAME_LENGTH:
        raise InvalidDataError(
            f"by must be a name of at most {MAX_NAME_LENGTH} printable characters, such as alice@laptop"
        )
    return f"program {value}"


def _expires_at(value: object) -> float:
    """Return until when a command is of use; 0: however long it takes."""
    if value is None:
        return 0.0
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < float(str(value)) <= LONGEST_SECONDS:
        raise InvalidDataError(
            f"expires_in_seconds must be a number above 0 and at most {LONGEST_SECONDS:.0f}"
        )
    return time.time() + float(str(value))


def _checked_type(value: object) -> CommandType:
    by_name = {known.name: known for known in CommandType}
    found = by_name.get(value.upper()) if isinstance(value, str) else None
    if found is None:
        raise InvalidDataError(f"type must be one of {', '.join(by_name)}")
    return found


def checked_parameters(value: object) -> Mapping[str, str]:
    """Return the parameters of a command as texts; raises InvalidDataError."""
    if not isinstance(value, dict) or len(value) > MAX_PARAMETERS:
        raise InvalidDataError(
            f"parameters must be an object with at most {MAX_PARAMETERS} entries"
        )
    return {name: _checked_value(name, entry) for name, entry in value.items()}


def _checked_value(name: str, value: object) -> str:
    if not PARAMETER_NAME.fullmatch(name):
        raise InvalidDataError(f"parameter names must match {PARAMETER_NAME.pattern}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidDataError(f"parameter {name} must be a finite number")
    text = json.dumps(value) if isinstance(value, bool | int | float) else value
    if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= MAX_VALUE_LENGTH:
        raise InvalidDataError(
            f"parameter {name} must be a number or a string of 1 to {MAX_VALUE_LENGTH} characters"
        )
    return text


def _checked_id(value: object) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or not COMMAND_ID.fullmatch(value):
        raise InvalidDataError(f"command_id must match {COMMAND_ID.pattern}")
    return value
