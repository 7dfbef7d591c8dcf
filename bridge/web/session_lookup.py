"""Find sessions, in memory or in the archive."""

import asyncio

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.protocol import SESSION_ID
from bridge.session import Session
from bridge.web.dependencies import AppDependencies, deps_of

NO_SESSION = "there is no session with this name: it was never registered here, or has been deleted"


async def session_of(request: web.Request) -> Session:
    """Return the session in the path, from memory or from the archive; raises NotFoundError."""
    return await find_session(deps_of(request), request.match_info["session_id"])


async def find_session(deps: AppDependencies, session_id: str) -> Session:
    """Return a session from memory or from the archive; raises NotFoundError."""
    if not SESSION_ID.fullmatch(session_id):
        raise NotFoundError(NO_SESSION)
    session = deps.sessions.find(session_id)
    if session is None:
        session = await asyncio.to_thread(deps.archive.find, session_id)
    if session is None:
        raise NotFoundError(NO_SESSION)
    return session
