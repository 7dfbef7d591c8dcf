"""Take orders for training loops."""

import json
from typing import Any

from aiohttp import web

from bridge.commands import Command
from bridge.errors import InvalidDataError
from bridge.web.command_request import asked
from bridge.web.csrf import check_origin
from bridge.web.dependencies import deps_of
from bridge.web.errors import UnsupportedError
from bridge.web.json_response import json_response
from bridge.web.links import public_root
from bridge.web.request_params import session_of


async def post_command(request: web.Request) -> web.Response:
    """Take a command as JSON; 202 tells where to watch it."""
    check_origin(request)
    session = await session_of(request)
    if request.content_type != "application/json":
        raise UnsupportedError("send the command as JSON, with Content-Type: application/json")
    order = _object(await request.read())
    if not order.keys() <= {"type", "parameters", "command_id"}:
        raise InvalidDataError("a command has type, parameters and command_id, and nothing else")
    command = asked(
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


def _object(body: bytes) -> dict[str, object]:
    try:
        order = json.loads(body)
    except (ValueError, RecursionError):
        order = None
    if not isinstance(order, dict):
        raise InvalidDataError('the body must be an object like {"type": "PAUSE_TRAINING"}')
    return order
