"""Find the batch that a link from elsewhere means."""

import asyncio

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.web.dependencies import deps_of
from bridge.web.ignored_params import displayable_names
from bridge.web.links import batch_link, session_link, with_query
from bridge.web.pages.image_selection import find_batch, given_parameters, read_selection
from bridge.web.request_params import find_session
from bridge.web.templating import root_of

NO_SESSION_NAMED = (
    "The link names no session: it should hold session=<id>. In Grafana, choose a session first."
)


async def go_to_images(request: web.Request) -> web.Response:
    """Answer with the way to the batch meant."""
    deps = deps_of(request)
    given = given_parameters(request.query)
    if not given.get("session"):
        raise NotFoundError(NO_SESSION_NAMED)
    session = await find_session(deps, given.pop("session"))
    selection, unusable = read_selection(given, session.config.class_names)
    ignored = displayable_names(
        [name for name in request.query if name != "session" and name not in given]
    )
    ignored = displayable_names([*ignored, *unusable])
    found = await asyncio.to_thread(find_batch, deps.index, session.id, selection)
    query = {"ignored": ",".join(ignored)}
    if found is None:
        link = with_query(session_link(session.id), {"note": "no-images", **query})
    else:
        at = "" if selection.at_ms is None else str(selection.at_ms)
        link = with_query(batch_link(session.id, found.epoch, found.batch), {"at": at, **query})
    headers = {"Location": f"{root_of(request)}{link}", "Cache-Control": "no-store"}
    return web.Response(status=302, headers=headers)
