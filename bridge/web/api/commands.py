"""Submit and list commands as JSON."""

import json
import time
from typing import Any

from aiohttp import web

from bridge.commands import Command
from bridge.errors import InvalidDataError
from bridge.web.command_notes import note_of
from bridge.web.command_request import checked_asker, submit_from_request
from bridge.web.dependencies import deps_of
from bridge.web.json_body import read_json_body
from bridge.web.json_response import json_response
from bridge.web.links import commands_link, public_root
from bridge.web.session_commands import all_commands
from bridge.web.session_lookup import session_of
from bridge.web.session_view import session_view

FIELDS = frozenset({"type", "parameters", "command_id", "by", "expires_in_seconds"})


async def post_command(request: web.Request) -> web.Response:
    """Queue a command; the 202 response says where to follow it."""
    session = await session_of(request)
    fields = _fields(await read_json_body(request, "command"))
    command = await submit_from_request(
        request,
        session,
        type=fields.get("type", ""),
        parameters=fields.get("parameters", {}),
        command_id=fields.get("command_id", ""),
        asker=checked_asker(fields.get("by")),
        expires_in_seconds=fields.get("expires_in_seconds"),
    )
    watch = f"{public_root(request)}/{commands_link(session.id)}"
    view = session_view(session, time.time())
    shown = command_json(command, note_of(command, view))
    response = json_response({**shown, "watch": watch}, status=202)
    response.headers["Location"] = watch
    return response


async def list_commands(request: web.Request) -> web.Response:
    """Return the commands of a session, oldest first, and behind them those on their way to the bridge that has it."""
    session = await session_of(request)
    commands = await all_commands(deps_of(request), session)
    view = session_view(session, time.time())
    return json_response(
        {
            "commands": [
                command_json(command, commands.note_of(command, view)) for command in commands.all
            ]
        }
    )


def command_json(command: Command, note: str) -> dict[str, Any]:
    """Return a command as the API shows it, with why it has no answer yet."""
    result = command.result
    return {
        "command_id": command.id,
        "session_id": command.session_id,
        "type": command.type.name,
        "parameters": dict(command.parameters),
        "sent_by": command.source or None,
        "asked_at": command.queued_at,
        "expires_at": command.expires_at or None,
        "answered_at": command.answered_at or None,
        "state": str(command.state),
        "note": note or None,
        "result": result
        and {
            "applied": result.applied,
            "message": result.message or None,
            "epoch": result.epoch,
            "batch": result.batch,
        },
    }


def _fields(body: bytes) -> dict[str, object]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise InvalidDataError('the body must be an object such as {"type": "PAUSE_TRAINING"}')
    if not fields.keys() <= FIELDS:
        raise InvalidDataError(f"a command may only have {', '.join(sorted(FIELDS))}")
    return fields
