"""Find sessions, in memory or in the archive."""

import asyncio

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.protocol import SESSION_ID
from bridge.session import Session
from bridge.web.dependencies import AppDependencies, deps_of

MAX_OFFSET = 2_000
"""Lists of sessions go no deeper."""

NO_SESSION = "there is no session with this name: it was never registered, or was removed long ago"


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


async def all_sessions(deps: AppDependencies, limit: int) -> list[Session]:
    """Return at most `limit` sessions: live ones first, then the newest, then those of the archive."""
    in_memory = sorted(deps.sessions, key=lambda session: session.registered_at, reverse=True)
    in_memory.sort(key=lambda session: session.ended_at > 0)
    if len(in_memory) >= limit:
        return in_memory[:limit]
    ids = {session.id for session in in_memory}
    archived = await asyncio.to_thread(deps.archive.recent, limit)
    return [*in_memory, *(session for session in archived if session.id not in ids)][:limit]
