"""Redirect a link from a dashboard or a trace to the images it means."""

import asyncio

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.storage.index import ImageIndex
from bridge.web.dependencies import deps_of
from bridge.web.ignored_params import displayable_names
from bridge.web.links import batch_link, session_link, with_query
from bridge.web.pages.batch_lookup import find_batch
from bridge.web.pages.image_selection import Selection, read_selection, usable_parameters
from bridge.web.session_lookup import find_session
from bridge.web.templating import root_of

NO_SESSION_NAMED = (
    "the link does not say which session: it needs session=<id>. In Grafana, select a session first"
)


async def go_to_images(request: web.Request) -> web.Response:
    """Redirect to the batch meant, or to the session's page where no images are kept.

    The page of a batch gets what else the link selects by, so that it can say where it shows something else.
    """
    deps = deps_of(request)
    given = usable_parameters(request.query)
    if not given.get("session"):
        raise NotFoundError(NO_SESSION_NAMED)
    session = await find_session(deps, given.pop("session"))
    selection, unusable = read_selection(given, session.config.class_names)
    unknown = [name for name in request.query if name != "session" and name not in given]
    ignored = ",".join(displayable_names([*unknown, *unusable]))
    place = selection.place or await asyncio.to_thread(_found, deps.index, session.id, selection)
    if place is None:
        link = with_query(session_link(session.id), {"note": "no-images", "ignored": ignored})
    else:
        asked = (
            {} if selection.place else {name: given[name] for name in given if name not in unusable}
        )
        link = with_query(batch_link(session.id, *place), {**asked, "ignored": ignored})
    headers = {"Location": f"{root_of(request)}{link}", "Cache-Control": "no-store"}
    return web.Response(status=302, headers=headers)


def _found(index: ImageIndex, session_id: str, selection: Selection) -> tuple[int, int] | None:
    batch = find_batch(index, session_id, selection)
    return (batch.epoch, batch.batch) if batch else None
