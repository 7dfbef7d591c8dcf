"""Take orders for training loops."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.protocol import CommandType
from bridge.web.command_request import MOST_PARAMETERS, asked
from bridge.web.csrf import check_origin
from bridge.web.errors import UnsupportedError
from bridge.web.links import session_link
from bridge.web.request_params import session_of
from bridge.web.templating import root_of


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


async def submit_command(request: web.Request) -> web.Response:
    """Take a command from the form of the session's page, and go back to it."""
    check_origin(request)
    session = await session_of(request)
    if request.content_type != "application/x-www-form-urlencoded":
        raise UnsupportedError("this address takes the form of the session's page")
    fields = _fields(await request.read())
    name, command_id = fields.pop("type", ""), fields.pop("command_id", "")
    asked(request, session, name, fields, command_id)
    back = f"{root_of(request)}{session_link(session.id)}?note=asked"
    return web.Response(status=303, headers={"Location": back})


def _fields(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=MOST_PARAMETERS + 2))
    except ValueError as error:
        raise InvalidDataError("the form cannot be read") from error
