"""Take orders for training loops."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from bridge.commands import Command
from bridge.errors import InvalidDataError
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.web.csrf import check_origin
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.errors import ConflictError, UnsupportedError
from bridge.web.json_response import json_response
from bridge.web.links import public_root, session_link
from bridge.web.request_params import session_of
from bridge.web.templating import root_of

COMMAND_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
MOST_PARAMETERS = 16
LONGEST_VALUE = 256


@dataclass(frozen=True, slots=True)
class Form:
    """A command as people give it: a button, perhaps with one value."""

    type: CommandType
    text: str
    parameter: str = ""
    label: str = ""
    example: str = ""
    is_final: bool = False


FORMS = (
    Form(CommandType.PAUSE_TRAINING, "Pause"),
    Form(CommandType.RESUME_TRAINING, "Resume"),
    Form(CommandType.SAVE_CHECKPOINT, "Save checkpoint"),
    Form(CommandType.CHANGE_LEARNING_RATE, "Set", "learning_rate", "Learning rate", "0.0003"),
    Form(CommandType.ADJUST_BATCH_SIZE, "Set", "batch_size", "Batch size", "64"),
    Form(CommandType.STOP_TRAINING, "Stop training", is_final=True),
)


async def post_command(request: web.Request) -> web.Response:
    """Take a command as JSON; 202 tells where to watch it."""
    check_origin(request)
    session = await session_of(request)
    if request.content_type != "application/json":
        raise UnsupportedError("send the command as JSON, with Content-Type: application/json")
    order = _object(await request.read())
    if not order.keys() <= {"type", "parameters", "command_id"}:
        raise InvalidDataError("a command has type, parameters and command_id, and nothing else")
    command = _asked(
        request,
        session,
        order.get("type", ""),
        order.get("parameters", {}),
        order.get("command_id", ""),
    )
    told = command_json(command)
    watch = f"{public_root(request)}/api/v1/sessions/{session.id}/commands"
    response = json_response({**told, "watch": watch}, status=202)
    response.headers["Location"] = watch
    return response


async def list_commands(request: web.Request) -> web.Response:
    """Tell the commands of a session, oldest first."""
    session = await session_of(request)
    commands = deps_of(request).commands.of(session.id)
    return json_response({"commands": [command_json(command) for command in commands]})


async def submit_command(request: web.Request) -> web.Response:
    """Take a command from the form of the session's page, and go back to it."""
    check_origin(request)
    session = await session_of(request)
    if request.content_type != "application/x-www-form-urlencoded":
        raise UnsupportedError("this address takes the form of the session's page")
    fields = _fields(await request.read())
    name, command_id = fields.pop("type", ""), fields.pop("command_id", "")
    _asked(request, session, name, fields, command_id)
    back = f"{root_of(request)}{session_link(session.id)}?note=asked"
    return web.Response(status=303, headers={"Location": back})


def command_json(command: Command) -> dict[str, Any]:
    """Return a command as the API tells it."""
    result = command.result
    return {
        "command_id": command.id,
        "session_id": command.session_id,
        "type": command.type.name,
        "parameters": dict(command.parameters),
        "asked_at": command.asked_at,
        "state": str(command.state),
        "result": result
        and {
            "applied": result.applied,
            "message": result.message or None,
            "epoch": result.epoch,
            "batch": result.batch,
        },
    }


def _asked(
    request: web.Request, session: Session, type: object, parameters: object, command_id: object
) -> Command:
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


def _object(body: bytes) -> dict[str, object]:
    try:
        order = json.loads(body)
    except (ValueError, RecursionError):
        order = None
    if not isinstance(order, dict):
        raise InvalidDataError('the body must be an object like {"type": "PAUSE_TRAINING"}')
    return order


def _fields(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=MOST_PARAMETERS + 2))
    except ValueError as error:
        raise InvalidDataError("the form cannot be read") from error


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
