"""Serve single JPEGs."""

import asyncio

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.storage.index import IndexedImage
from bridge.web.dependencies import deps_of
from bridge.web.links import version_of
from bridge.web.request_params import batch_of, parse_whole, session_of
from bridge.web.templating import FOLDER

NEVER_CHANGES = "public, max-age=31536000, immutable"

ASK_AGAIN = "no-cache"

NO_IMAGE = (FOLDER / "static" / "no-image.jpg").read_bytes()

GONE = "This image is no longer kept, or never was."


async def image(request: web.Request) -> web.Response:
    """Answer with one JPEG, which never changes under its address."""
    deps = deps_of(request)
    session = await session_of(request)
    epoch, batch = batch_of(request)
    position = parse_whole(request.match_info["position"])

    def look() -> IndexedImage | None:
        images = deps.index.images(session.id, epoch, batch)
        return next((image for image in images if image.position == position), None)

    found = await asyncio.to_thread(look)
    if found is None:
        raise NotFoundError(GONE)
    return await _jpeg(request, found, NEVER_CHANGES)


async def latest_image(request: web.Request) -> web.Response:
    """Answer with an image of the newest batch that has any, or with one that says there is none."""
    deps = deps_of(request)
    session = await session_of(request)
    slot = parse_whole(request.match_info["slot"])

    def look() -> IndexedImage | None:
        for newest in deps.index.newest(session.id, limit=1):
            images = deps.index.images(session.id, newest.epoch, newest.batch)
            return next((image for image in images if image.position == slot), None)
        return None

    found = await asyncio.to_thread(look)
    if found is None:
        return picture(NO_IMAGE, ASK_AGAIN, "")
    return await _jpeg(request, found, ASK_AGAIN)


async def _jpeg(request: web.Request, found: IndexedImage, keep: str) -> web.Response:
    tag = version_of(found.location)
    known = request.if_none_match or ()
    if any(etag.value in (tag, "*") for etag in known):
        response = web.Response(status=304, headers={"Cache-Control": keep})
        response.etag = tag
        return response
    deps = deps_of(request)
    body = await deps.image_threads.run(lambda: deps.read_image(found.location))
    return picture(body, keep, tag)


def picture(body: bytes, keep: str, tag: str) -> web.Response:
    """Answer with a JPEG, which boards elsewhere may show."""
    headers = {"Cache-Control": keep, "Cross-Origin-Resource-Policy": "cross-origin"}
    response = web.Response(body=body, content_type="image/jpeg", headers=headers)
    if tag:
        response.etag = tag
    return response
