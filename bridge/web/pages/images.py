"""Serve single JPEGs."""

import asyncio

from aiohttp import web

from bridge.errors import NotFoundError, StorageError
from bridge.storage.index import ImageLocation, IndexedImage
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.links import version_of
from bridge.web.pages.placeholder import is_picture_wanted, placeholder_response
from bridge.web.request_params import batch_of, parse_whole
from bridge.web.session_images import SessionImages, images_of, own_images, session_images
from bridge.web.session_lookup import asked_attempt
from bridge.web.templating import FOLDER

IMMUTABLE = "max-age=31536000, immutable"
"""For whoever may keep it: any cache on the way, or, where the door asks for credentials, the browser alone."""

REVALIDATE = "no-cache"

NO_IMAGE = (FOLDER / "static" / "no-image.jpg").read_bytes()


async def image(request: web.Request) -> web.Response:
    """Return one JPEG, which never changes under its address: with a version, it is the one that had it."""
    deps, session_id = deps_of(request), request.match_info["session_id"]
    place = (*batch_of(request), parse_whole(request.match_info["position"]))
    asked, version = asked_attempt(request), request.query.get("v", "")

    def find(images: SessionImages) -> IndexedImage | None:
        attempts = _attempts(images, asked, has_version=bool(version))
        found = _at(images, place, attempts)
        return next(
            (image for image in found if version_of(image.location) == version),
            found[0] if found else None,
        )

    images = await _own_or_all(deps, session_id)
    found = await asyncio.to_thread(find, images)
    if not images.has_asked and (found is None or version not in ("", version_of(found.location))):
        images = await images_of(deps, session_id, is_missing=True)
        found = await asyncio.to_thread(find, images)
    if found is None:
        images.check()
        raise NotFoundError("this image is not kept any longer, or never was")
    audience = "private" if deps.authentication.is_required else "public"
    return await _stored_jpeg(request, found, f"{audience}, {IMMUTABLE}")


async def _own_or_all(deps: AppDependencies, session_id: str) -> SessionImages:
    """Return the images that this bridge has, so that they are shown whatever the store does; else those in the store."""
    try:
        return await own_images(deps, session_id)
    except NotFoundError:
        return await images_of(deps, session_id)


def _at(
    images: SessionImages, place: tuple[int, int, int | None], attempts: list[int | None]
) -> list[IndexedImage]:
    """Return the images at one position of a batch, of the attempts given."""
    epoch, batch, position = place
    return [
        image
        for attempt in attempts
        for image in images.index.images(images.session.id, epoch, batch, attempt=attempt)
        if image.position == position
    ]


def _attempts(images: SessionImages, asked: int | None, *, has_version: bool) -> list[int | None]:
    """Return the attempts whose images come into question, the newest first; None: that of the newest that has any."""
    if asked is not None or not has_version or images.session.attempt == 1:
        return [asked]
    return [*reversed(images.index.attempts(images.session.id))]


async def latest_image(request: web.Request) -> web.Response:
    """Return an image of the newest batch that has any, or a placeholder."""
    images = await session_images(request)
    slot, asked = parse_whole(request.match_info["slot"]), asked_attempt(request)

    def find() -> IndexedImage | None:
        for newest in images.index.newest(images.session.id, limit=1, attempt=asked):
            found = images.index.images(
                newest.session_id, newest.epoch, newest.batch, attempt=newest.attempt
            )
            return next((image for image in found if image.position == slot), None)
        return None

    found = await asyncio.to_thread(find)
    if found is None:
        return jpeg_response(NO_IMAGE, REVALIDATE)
    return await _stored_jpeg(request, found, REVALIDATE)


def jpeg_response(body: bytes, cache_control: str, etag: str = "") -> web.Response:
    """Return a response with a JPEG, which pages of other origins may embed."""
    headers = {"Cache-Control": cache_control, "Cross-Origin-Resource-Policy": "cross-origin"}
    response = web.Response(body=body, content_type="image/jpeg", headers=headers)
    if etag:
        response.etag = etag
    return response


async def _stored_jpeg(
    request: web.Request, image: IndexedImage, cache_control: str
) -> web.Response:
    version = version_of(image.location)
    cached = request.if_none_match or ()
    if any(etag.value in (version, "*") for etag in cached):
        response = web.Response(status=304, headers={"Cache-Control": cache_control})
        response.etag = version
        return response
    try:
        body = await _read(deps_of(request), image.location)
    except (StorageError, NotFoundError) as error:
        if not is_picture_wanted(request):
            raise
        if isinstance(error, StorageError):
            deps_of(request).telemetry.storage_failed("web", error)
        return placeholder_response(error)
    return jpeg_response(body, cache_control, version)


async def _read(deps: AppDependencies, location: ImageLocation) -> bytes:
    """Read an image; what is still in the spool does not wait behind reads from a store that hangs."""
    threads = deps.image_threads if location.stored else deps.spool_threads
    return await threads.run(lambda: deps.read_image(location))
