"""The page of the bridges that share a database."""

import asyncio
import time

from aiohttp import web

from bridge.web.identity import identity_of, viewer_of
from bridge.web.peers.overview import overview_and_problem
from bridge.web.templating import html_response, render, root_of


async def bridges_page(request: web.Request) -> web.Response:
    """Return which bridges there are, when each was seen, and how many sessions each has."""
    overview, problem = await overview_and_problem(request)
    root, viewer, now = root_of(request), viewer_of(request), time.time()
    is_for_all = not identity_of(request).sessions

    def render_page() -> str:
        return render(
            "bridges.html",
            root,
            viewer,
            overview=overview,
            problem=problem,
            is_for_all=is_for_all,
            now=now,
        )

    return html_response(await asyncio.to_thread(render_page))
