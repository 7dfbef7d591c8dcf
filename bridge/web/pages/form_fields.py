"""Read the fields of a form on our own pages."""

from urllib.parse import parse_qsl

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.web.command_request import MAX_PARAMETERS
from bridge.web.errors import UnsupportedMediaTypeError


async def form_fields(request: web.Request) -> dict[str, str]:
    """Return the fields that a form has sent; raises UnsupportedMediaTypeError, InvalidDataError."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise UnsupportedMediaTypeError("this address only accepts the forms on the session's page")
    try:
        body = (await request.read()).decode()
        return dict(parse_qsl(body, max_num_fields=MAX_PARAMETERS + 2))
    except ValueError as error:
        raise InvalidDataError("the form could not be read") from error
