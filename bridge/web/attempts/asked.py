"""The attempt that a request asks for, beside the newest one."""

import time

from aiohttp import web

from bridge.session import Session
from bridge.web.attempts.former import former_view
from bridge.web.dependencies import deps_of
from bridge.web.session_images import SessionImages, attempt_with_images
from bridge.web.session_lookup import asked_attempt, find_attempt, session_of
from bridge.web.session_view import SessionView, session_view


async def newest_and_asked(request: web.Request) -> tuple[SessionView, SessionView | None]:
    """Return a session in its newest attempt, and in the one asked for, None where none is; raises NotFoundError."""
    return await with_asked(request, await session_of(request))


async def with_asked(
    request: web.Request, newest: Session
) -> tuple[SessionView, SessionView | None]:
    """Return the same of a session that has been found already; raises NotFoundError."""
    number, now = asked_attempt(request), time.time()
    if number is None:
        return session_view(newest, now), None
    asked = await find_attempt(deps_of(request), newest, number)
    view_of = session_view if asked.attempt == newest.attempt else former_view
    return session_view(newest, now), view_of(asked, now)


async def images_asked(
    request: web.Request, images: SessionImages
) -> tuple[SessionView, SessionView | None]:
    """Return the same of a session of which this bridge may know only images; raises NotFoundError."""
    number, now = asked_attempt(request), time.time()
    newest = session_view(images.session, now)
    if number is None:
        return newest, None
    asked = await attempt_with_images(deps_of(request), images, number)
    view_of = session_view if asked.attempt == newest.attempt else former_view
    return newest, view_of(asked, now)
