"""Redirect a link from a dashboard or a trace to the images it means."""

import asyncio

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.session import Session
from bridge.storage.index import ImageIndex
from bridge.web.dependencies import deps_of
from bridge.web.ignored_params import displayable_names
from bridge.web.links import attempt_link, batch_link, with_query
from bridge.web.pages.batch_lookup import find_batch
from bridge.web.pages.image_selection import Selection, read_selection, usable_parameters
from bridge.web.session_images import images_of
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
    images = await images_of(deps, given.pop("session"))
    session = images.session
    selection, unusable = read_selection(given, session.config.class_names)
    unknown = [name for name in request.query if name != "session" and name not in given]
    ignored = ",".join(displayable_names([*unknown, *unusable]))
    found = await asyncio.to_thread(_found, images.index, session, selection)
    if found is None:
        images.check()
        page = attempt_link(session.id, selection.attempt)
        link = with_query(page, {"note": "no-images", "ignored": ignored})
    else:
        left = {} if selection.place else given
        asked = {name: left[name] for name in left if name not in (*unusable, "attempt")}
        link = with_query(batch_link(session.id, *found), {**asked, "ignored": ignored})
    headers = {"Location": f"{root_of(request)}{link}", "Cache-Control": "no-store"}
    return web.Response(status=302, headers=headers)


def _found(
    index: ImageIndex, session: Session, selection: Selection
) -> tuple[int, int, int | None] | None:
    """Return epoch and batch, and the attempt where there are several; None: no images are kept that match."""
    if selection.place is not None:
        return (*selection.place, selection.attempt)
    batch = find_batch(index, session.id, selection)
    if batch is None:
        return None
    return batch.epoch, batch.batch, batch.attempt if session.attempt > 1 else None
