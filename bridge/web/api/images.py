"""The images of a session as JSON."""

import asyncio
from typing import Any

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.storage.index import ImageBatch, IndexedImage
from bridge.web.dependencies import deps_of
from bridge.web.json_response import json_response
from bridge.web.links import batch_link, image_link, public_root
from bridge.web.request_params import parse_batch, whole_param
from bridge.web.session_lookup import session_of

DEFAULT_LIMIT, MAX_LIMIT = 50, 200


async def list_images(request: web.Request) -> web.Response:
    """Return the batches with images, by epoch and batch, each with its images."""
    deps, root = deps_of(request), public_root(request)
    session = await session_of(request)
    limit = whole_param(request, "limit", DEFAULT_LIMIT, lowest=1, highest=MAX_LIMIT)
    after_text = request.query.get("after", "")
    after = parse_batch(after_text)
    if after_text and after is None:
        raise InvalidDataError("after must be <epoch>-<batch>, as in 3-120")
    names = session.config.class_names

    def load() -> list[dict[str, Any]]:
        return [
            _batch_json(batch, deps.index.images(session.id, batch.epoch, batch.batch), names, root)
            for batch in deps.index.page(session.id, limit=limit, after=after)
        ]

    batches = await asyncio.to_thread(load)
    next_url = None
    if len(batches) == limit:
        last = f"{batches[-1]['epoch']}-{batches[-1]['batch']}"
        next_url = f"{root}/api/v1/sessions/{session.id}/images?limit={limit}&after={last}"
    return json_response({"batches": batches, "next": next_url})


def _batch_json(
    batch: ImageBatch, images: list[IndexedImage], names: tuple[str, ...], root: str
) -> dict[str, Any]:
    return {
        "epoch": batch.epoch,
        "batch": batch.batch,
        "received_ms": batch.received_ms,
        "loss": batch.loss,
        "url": f"{root}/{batch_link(batch.session_id, batch.epoch, batch.batch)}",
        "images": [_image_json(batch, image, names, root) for image in images],
    }


def _image_json(
    batch: ImageBatch, image: IndexedImage, names: tuple[str, ...], root: str
) -> dict[str, Any]:
    return {
        "position": image.position,
        "url": f"{root}/{image_link(batch.session_id, batch, image)}",
        "predicted_class": image.predicted_class,
        "predicted_label": _label(image.predicted_class, names),
        "confidence": image.confidence,
        "true_class": image.true_class,
        "true_label": _label(image.true_class, names),
        "is_wrong": image.is_wrong,
    }


def _label(number: int | None, names: tuple[str, ...]) -> str | None:
    return names[number] if number is not None and 0 <= number < len(names) else None
