"""What a request may see of the numbers and events of a session: of all its attempts, or of the one that it asks for."""

import asyncio

from aiohttp import web

from bridge.web.attempts.asked import newest_and_asked
from bridge.web.attempts.catalog import ATTEMPTS, since_the_first, view_of_all
from bridge.web.session_view import SessionView


async def logged_view(request: web.Request) -> SessionView:
    """Return a session whose curves and events are of all its attempts, or the attempt asked for; raises NotFoundError."""
    newest, asked = await newest_and_asked(request)
    if asked is not None:
        return asked
    attempts = await asyncio.to_thread(request.app[ATTEMPTS].all_of, newest)
    return since_the_first(view_of_all(newest, attempts), attempts)
