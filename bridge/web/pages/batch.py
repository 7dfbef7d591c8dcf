"""Show the images of a batch."""

import asyncio
import time
from dataclasses import dataclass

from aiohttp import web

from bridge.model import Config
from bridge.storage.index import ImageBatch, IndexedImage
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.formatting import class_name
from bridge.web.ignored_params import ignored_params
from bridge.web.links import image_link
from bridge.web.request_params import batch_of, parse_whole, session_of
from bridge.web.templating import html_response, render, root_of


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
