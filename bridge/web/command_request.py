"""Check a command as a request gives it, and submit it."""

import json
import math
import re
from collections.abc import Mapping

from aiohttp import web

from bridge.commands import Command
from bridge.errors import InvalidDataError
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.errors import ConflictError

COMMAND_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
PARAMETER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
MAX_PARAMETERS = 16
MAX_VALUE_LENGTH = 256


def submit_from_request(
    request: web.Request, session: Session, *, type: object, parameters: object, command_id: object
) -> Command:
    """Queue a command for a session and return it; an id that is known returns its command.

    Raises InvalidDataError for values that cannot be a command, ConflictError where the session or the id
    rules it out, and LimitError when too many commands are unanswered.
    """
    deps = deps_of(request)
    checked = _checked_type(type), checked_parameters(parameters), _checked_id(command_id)
    existing = deps.commands.find(session.id, checked[2])
    if existing is not None and (existing.type, existing.parameters) == checked[:2]:
        return existing
    if existing is not None:
        raise ConflictError("another command already has this command_id")
    if session.ended_at or deps.sessions.find(session.id) is None:
        raise ConflictError("this session is over: no training loop is left to carry out a command")
    command = deps.submit_command(session.id, *checked)
    _log_queued(deps, command, request.remote)
    return command


def _log_queued(deps: AppDependencies, command: Command, remote: str | None) -> None:
    deps.telemetry.event(
        "command queued",
        session_id=command.session_id,
        type=command.type.name,
        command_id=command.id,
        remote=remote,
    )


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
