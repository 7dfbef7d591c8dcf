"""The forms on a session's page that send commands."""

from dataclasses import dataclass

from aiohttp import web

from bridge.protocol import CommandType
from bridge.web.command_request import submit_from_request
from bridge.web.links import session_link
from bridge.web.pages.form_fields import form_fields
from bridge.web.session_lookup import session_of
from bridge.web.templating import root_of


@dataclass(frozen=True, slots=True)
class Form:
    """A button that sends a command, perhaps with one value to fill in."""

    type: CommandType
    text: str
    parameter: str = ""
    label: str = ""
    example: str = ""
    is_final: bool = False
    """Whether the command ends the run, so that it needs a second click."""


FORMS = (
    Form(CommandType.PAUSE_TRAINING, "Pause"),
    Form(CommandType.RESUME_TRAINING, "Resume"),
    Form(CommandType.SAVE_CHECKPOINT, "Save checkpoint"),
    Form(CommandType.CHANGE_LEARNING_RATE, "Set", "learning_rate", "Learning rate", "0.0003"),
    Form(CommandType.ADJUST_BATCH_SIZE, "Set", "batch_size", "Batch size", "64"),
    Form(CommandType.STOP_TRAINING, "Stop training", is_final=True),
)


async def post_form(request: web.Request) -> web.Response:
    """Queue the command of a form, and go back to the session's page."""
    session = await session_of(request)
    fields = await form_fields(request)
    name, command_id = fields.pop("type", ""), fields.pop("command_id", "")
    await submit_from_request(
        request, session, type=name, parameters=fields, command_id=command_id, asker="person"
    )
    back = f"{root_of(request)}{session_link(session.id)}?note=queued"
    return web.Response(status=303, headers={"Location": back})
