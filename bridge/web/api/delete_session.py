"""Delete a session."""

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.web.csrf import check_origin
from bridge.web.dependencies import deps_of
from bridge.web.json_response import json_response
from bridge.web.session_lookup import session_of

VALUES = {"": False, "false": False, "true": True}


async def delete_session(request: web.Request) -> web.Response:
    """Delete a session that has ended; 202: it is gone, and what is left of it in stores follows."""
    check_origin(request)
    session = await session_of(request)
    images, force = _switch(request, "images"), _switch(request, "force")
    await deps_of(request).delete_session(
        session.id, images=images, force=force, by=request.remote or ""
    )
    return json_response({"session_id": session.id, "images": images}, status=202)


def _switch(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "").lower()
    if text not in VALUES:
        raise InvalidDataError(f"{name} must be true or false")
    return VALUES[text]
