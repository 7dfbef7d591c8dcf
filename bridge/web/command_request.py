"""Take orders for training loops."""

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
PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
MOST_PARAMETERS = 16
LONGEST_VALUE = 256


def asked(
    request: web.Request, session: Session, type: object, parameters: object, command_id: object
) -> Command:
    """Return the command that a request asks for, queued unless one of this id already is."""
    deps = deps_of(request)
    order = _type(type), _parameters(parameters), _command_id(command_id)
    standing = _standing(deps, session.id, order[2])
    if standing is not None:
        if (standing.type, standing.parameters) != order[:2]:
            raise ConflictError("another command has this command_id")
        return standing
    if session.ended_at or deps.sessions.find(session.id) is None:
        raise ConflictError("this session is over, so no training loop is there to take a command")
    command = deps.order_command(session.id, *order)
    deps.telemetry.event(
        "command asked",
        session_id=session.id,
        type=command.type.name,
        command_id=command.id,
        remote=request.remote,
    )
    return command


def _standing(deps: AppDependencies, session_id: str, command_id: str) -> Command | None:
    commands = deps.commands.of(session_id) if command_id else ()
    return next((command for command in commands if command.id == command_id), None)


def _type(value: object) -> CommandType:
    names = {known.name: known for known in CommandType}
    found = names.get(value.upper()) if isinstance(value, str) else None
    if found is None:
        raise InvalidDataError(f"type must be one of {', '.join(names)}")
    return found


def _parameters(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or len(value) > MOST_PARAMETERS:
        raise InvalidDataError(f"parameters must be an object of at most {MOST_PARAMETERS} values")
    return {name: _value(name, part) for name, part in value.items()}


def _value(name: str, value: object) -> str:
    if not PARAMETER.fullmatch(name):
        raise InvalidDataError("the name of a parameter must match [A-Za-z][A-Za-z0-9_]{0,63}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidDataError(f"parameter {name} must be a finite number")
    text = json.dumps(value) if isinstance(value, bool | int | float) else value
    if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= LONGEST_VALUE:
        raise InvalidDataError(
            f"parameter {name} must be a number or a text of 1 to {LONGEST_VALUE} characters"
        )
    return text


def _command_id(value: object) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or not COMMAND_ID.fullmatch(value):
        raise InvalidDataError("command_id must match [A-Za-z0-9._-]{1,64}")
    return value
