"""The page of a session of which this bridge has nothing but its images."""

import asyncio
import time

from aiohttp import web

from bridge.web.dependencies import deps_of
from bridge.web.identity import viewer_of
from bridge.web.ignored_params import ignored_params
from bridge.web.missing_images import store_problem
from bridge.web.pages.strips import strips_of
from bridge.web.session_images import attempt_with_images, images_of
from bridge.web.session_lookup import asked_attempt
from bridge.web.session_view import session_view
from bridge.web.templating import html_response, render, root_of

MAX_STRIPS = 6
MAX_EPOCHS = 200
MAX_ATTEMPTS = 100

NO_IMAGES = "No images of this session are kept that match the link."


async def stored_session_page(request: web.Request) -> web.Response:
    """Return what the store says of a session, or of an attempt, whose numbers another bridge has; raises NotFoundError."""
    deps, asked = deps_of(request), asked_attempt(request)
    images = await images_of(deps, request.match_info["session_id"], is_missing=True)
    session = session_view(await attempt_with_images(deps, images, asked), time.time())
    root, ignored, store = root_of(request), ignored_params(request), store_problem(deps)
    note = NO_IMAGES if request.query.get("note") == "no-images" else ""
    viewer = viewer_of(request)

    def render_page() -> str:
        index, names = images.index, session.config.class_names
        attempts = index.attempts(session.id)
        has_several = len(attempts) > 1
        newest = index.newest(session.id, limit=MAX_STRIPS, attempt=asked)
        worst = index.worst(session.id, limit=MAX_STRIPS, attempt=asked)
        return render(
            "stored_session.html",
            root,
            viewer,
            session=session,
            asked=asked,
            is_known=not images.is_only_stored,
            attempts=attempts[-MAX_ATTEMPTS:],
            has_several=has_several,
            newest=newest,
            newest_images=strips_of(index, newest, names, has_several=has_several),
            worst=strips_of(index, worst, names, has_several=has_several),
            epochs=index.epochs(session.id, limit=MAX_EPOCHS, attempt=asked),
            left_out=images.left_out,
            problem=images.problem,
            note=note,
            ignored=ignored,
            store=store,
            grafana_url=deps.grafana_url,
        )

    return html_response(await asyncio.to_thread(render_page))
