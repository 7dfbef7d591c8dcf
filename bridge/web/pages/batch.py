"""The page of a batch: its images, with what was predicted of each."""

import asyncio
import time
from dataclasses import dataclass

from aiohttp import web

from bridge.storage.index import ImageBatch, ImageIndex, IndexedImage
from bridge.web.dependencies import deps_of
from bridge.web.formatting import class_name
from bridge.web.ignored_params import ignored_params
from bridge.web.links import image_link
from bridge.web.request_params import batch_of, parse_whole
from bridge.web.session_lookup import session_of
from bridge.web.templating import html_response, render, root_of


@dataclass(frozen=True, slots=True)
class Figure:
    """One image and its prediction."""

    link: str
    position: int
    predicted: str
    confidence: float | None
    truth: str
    verdict: str
    """wrong, right or unknown; also its CSS class."""


@dataclass(frozen=True, slots=True)
class BatchImages:
    """What the index holds of a batch, and the batches with images before and after it."""

    batch: ImageBatch | None
    images: list[IndexedImage]
    before: ImageBatch | None
    after: ImageBatch | None


async def batch_page(request: web.Request) -> web.Response:
    """Return the page of a batch; 404 with links to the nearest ones where no images are kept."""
    deps = deps_of(request)
    session = await session_of(request)
    epoch, batch = batch_of(request)
    root, ignored = root_of(request), ignored_params(request)
    session_id, names = session.id, session.config.class_names
    at_ms = parse_whole(request.query.get("at", ""), highest=2**53)

    def render_page() -> tuple[str, int]:
        found = _load(deps.index, session_id, epoch, batch)
        figures = _figures(session_id, found, names)
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
            seconds_before_at=_seconds_before(found.batch, at_ms),
            now=time.time(),
            ignored=ignored,
            grafana_url=deps.grafana_url,
        )
        return text, 200 if found.batch else 404

    text, status = await asyncio.to_thread(render_page)
    return html_response(text, status=status)


def _load(index: ImageIndex, session_id: str, epoch: int, batch: int) -> BatchImages:
    before, after = index.neighbours(session_id, epoch, batch)
    found = index.batch(session_id, epoch, batch)
    images = index.images(session_id, epoch, batch) if found else []
    return BatchImages(found, images, before, after)


def _figures(session_id: str, found: BatchImages, names: tuple[str, ...]) -> list[Figure]:
    batch = found.batch
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


def _seconds_before(batch: ImageBatch | None, at_ms: int | None) -> float | None:
    """Return how long before the requested time the batch came; negative: after it."""
    if batch is None or at_ms is None:
        return None
    return (at_ms - batch.received_ms) / 1000
