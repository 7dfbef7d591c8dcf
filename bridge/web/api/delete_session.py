"""Delete a session, or one attempt of it."""

import asyncio

from aiohttp import web

from bridge.errors import InvalidDataError, NotFoundError
from bridge.session import Session
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.identity import sender_of
from bridge.web.json_response import json_response
from bridge.web.request_params import whole_param
from bridge.web.session_lookup import session_of

LAST_ATTEMPT = 10**9

VALUES = {"": False, "false": False, "true": True}


async def delete_session(request: web.Request) -> web.Response:
    """Delete what has ended: a session, or one attempt; 202: it is gone, and what is left of it in stores follows."""
    session = await session_of(request)
    images, force = _switch(request, "images"), _switch(request, "force")
    attempt = whole_param(request, "attempt", 0, lowest=1, highest=LAST_ATTEMPT) or None
    if attempt is not None:
        await _check_exists(deps_of(request), session, attempt)
    await deps_of(request).delete_session(
        session.id, attempt=attempt, images=images, force=force, by=sender_of(request, "program")
    )
    answer = {"session_id": session.id, "attempt": attempt, "images": images}
    return json_response(answer, status=202)


async def _check_exists(deps: AppDependencies, session: Session, attempt: int) -> None:
    """Raise NotFoundError for an attempt that there is not, or no longer."""
    entries = await asyncio.to_thread(deps.archive.attempts, session.id)
    known = {session.attempt, *(entry.attempt for entry in entries)}
    if attempt not in known:
        kept = ", ".join(map(str, sorted(known)))
        raise NotFoundError(f"this session has no attempt {attempt}: kept are {kept}")


def _switch(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "").lower()
    if text not in VALUES:
        raise InvalidDataError(f"{name} must be true or false")
    return VALUES[text]
