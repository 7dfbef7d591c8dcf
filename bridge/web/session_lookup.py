"""Find sessions and their attempts, in memory or in the archive."""

import asyncio

from aiohttp import web

from bridge.errors import InvalidDataError, NotFoundError
from bridge.protocol import SESSION_ID
from bridge.session import Session
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.request_params import parse_whole

NO_SESSION = "there is no session with this name: it was never registered here, or has been deleted"

ATTEMPT_EXPECTED = "attempt must be a whole number from 1, such as 2"


async def session_of(request: web.Request) -> Session:
    """Return the session in the path, in its newest attempt, from memory or from the archive; raises NotFoundError."""
    return await find_session(deps_of(request), request.match_info["session_id"])


async def attempt_of(request: web.Request) -> Session:
    """Return the attempt that a request asks for, by default the newest; raises NotFoundError."""
    newest = await session_of(request)
    return await find_attempt(deps_of(request), newest, asked_attempt(request))


async def find_session(deps: AppDependencies, session_id: str) -> Session:
    """Return a session from memory or from the archive, in its newest attempt; raises NotFoundError."""
    if not SESSION_ID.fullmatch(session_id):
        raise NotFoundError(NO_SESSION)
    session = deps.sessions.find(session_id)
    if session is None:
        session = await asyncio.to_thread(deps.archive.find, session_id)
    if session is None:
        raise NotFoundError(NO_SESSION)
    return session


async def find_attempt(deps: AppDependencies, newest: Session, number: int | None) -> Session:
    """Return an attempt of a session, the newest where none is named; raises NotFoundError."""
    if number is None or number == newest.attempt:
        return newest
    found = None
    if number < newest.attempt:
        found = await asyncio.to_thread(deps.archive.find, newest.id, number)
    if found is None:
        raise NotFoundError(no_attempt(number, newest.attempt))
    return found


def no_attempt(number: int, newest: int) -> str:
    """Return what to say where an attempt is asked for that is not known."""
    return (
        f"there is no attempt {number} of this session, or it is not kept any longer:"
        f" the newest is attempt {newest}, and the page of the session lists the others"
    )


def asked_attempt(request: web.Request) -> int | None:
    """Return the attempt in the path or the query of a request; None: it does not say, so that the newest is meant."""
    in_path = request.match_info.get("attempt", "")
    text = in_path or request.query.get("attempt", "").strip()
    if not text:
        return None
    number = parse_whole(text)
    if not number:
        raise NotFoundError(ATTEMPT_EXPECTED) if in_path else InvalidDataError(ATTEMPT_EXPECTED)
    return number
