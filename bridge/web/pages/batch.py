"""Show the images of a batch."""

import asyncio
import time
from dataclasses import dataclass

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.model import Config
from bridge.storage.index import ImageBatch, IndexedImage
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.formatting import class_name
from bridge.web.ignored_params import ignored_params
from bridge.web.links import image_link, version_of
from bridge.web.request_params import batch_of, parse_whole, session_of
from bridge.web.templating import FOLDER, html_response, render, root_of

NEVER_CHANGES = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
NO_IMAGE = (FOLDER / "static" / "no-image.jpg").read_bytes()
GONE = "This image is no longer kept, or never was."


@dataclass(frozen=True, slots=True)
class Figure:
    """One image, with what was made of it."""

    link: str
    position: int
    predicted: str
    confidence: float | None
    truth: str
    verdict: str
    """wrong, right or unknown; also its style."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the index knows of a batch and of those beside it."""

    batch: ImageBatch | None
    images: list[IndexedImage]
    before: ImageBatch | None
    after: ImageBatch | None


async def batch_page(request: web.Request) -> web.Response:
    """Answer with the images of a batch."""
    deps = deps_of(request)
    session = await session_of(request)
    epoch, batch = batch_of(request)
    root, ignored = root_of(request), ignored_params(request)
    session_id, config = session.id, session.config
    at_ms = parse_whole(request.query.get("at", ""), highest=2**53)

    def draw() -> tuple[str, int]:
        found = _find(deps, session_id, epoch, batch)
        figures = _figures(session_id, found, config)
        text = render(
            "batch.html",
            root,
            session=session,
            epoch=epoch,
            number=batch,
            found=found,
            figures=figures,
            wrong=sum(figure.verdict == "wrong" for figure in figures),
            judged=sum(figure.verdict != "unknown" for figure in figures),
            before_click_seconds=_before(found.batch, at_ms),
            now=time.time(),
            ignored=ignored,
            grafana_url=deps.grafana_url,
        )
        return text, 200 if found.batch else 404

    text, status = await asyncio.to_thread(draw)
    return html_response(text, status=status)


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


def _find(deps: AppDependencies, session_id: str, epoch: int, batch: int) -> Found:
    before, after = deps.index.neighbours(session_id, epoch, batch)
    known = deps.index.batch(session_id, epoch, batch)
    images = deps.index.images(session_id, epoch, batch) if known else []
    return Found(known, images, before, after)


def _figures(session_id: str, found: Found, config: Config) -> list[Figure]:
    batch, names = found.batch, config.class_names
    if batch is None:
        return []
    return [
        Figure(
            image_link(session_id, batch, image),
            image.position,
            class_name(image.predicted_class, names),
            image.confidence,
            class_name(image.true_class, names),
            _verdict(image),
        )
        for image in found.images
    ]


def _verdict(image: IndexedImage) -> str:
    if image.predicted_class is None or image.true_class is None:
        return "unknown"
    return "wrong" if image.is_wrong else "right"


def _before(batch: ImageBatch | None, at_ms: int | None) -> float | None:
    """Return how long before the point that was clicked this batch came; negative: after it."""
    if batch is None or at_ms is None:
        return None
    return (at_ms - batch.received_ms) / 1000
