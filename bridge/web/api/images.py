"""The images of a session as JSON."""

import asyncio
import time
from typing import Any

from aiohttp import web

from bridge.errors import InvalidDataError, NotFoundError
from bridge.storage.index import ImageBatch, IndexedImage
from bridge.web.api.sessions import bin_json
from bridge.web.batch_record import BatchOnRecord, batch_on_record, reason_of
from bridge.web.dependencies import deps_of
from bridge.web.json_response import json_response
from bridge.web.links import batch_link, image_link, public_root
from bridge.web.missing_images import images_problem
from bridge.web.request_params import batch_of, parse_batch, whole_param
from bridge.web.session_lookup import session_of
from bridge.web.session_view import SessionView, session_view

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
            _batch_json(
                batch,
                deps.index.images(session.id, batch.epoch, batch.batch, attempt=batch.attempt),
                names,
                root,
            )
            for batch in deps.index.page(session.id, limit=limit, after=after)
        ]

    batches = await asyncio.to_thread(load)
    next_url = None
    if len(batches) == limit:
        last = f"{batches[-1]['epoch']}-{batches[-1]['batch']}"
        next_url = f"{root}/api/v1/sessions/{session.id}/images?limit={limit}&after={last}"
    return json_response({"batches": batches, "next": next_url})


async def get_batch(request: web.Request) -> web.Response:
    """Return what is known of one batch, its images included; raises NotFoundError where it was never reported."""
    deps, root = deps_of(request), public_root(request)
    session = session_view(await session_of(request), time.time())
    place, problem = batch_of(request), images_problem(deps)

    def load() -> dict[str, Any]:
        found = batch_on_record(deps.index, session, place)
        if not found.is_reported:
            raise NotFoundError(_never_reported(found))
        reason = reason_of(deps.index, session, found, problem)
        return _record_json(session, found, root) | {"images_missing_because": reason or None}

    return json_response(await asyncio.to_thread(load))


def _record_json(session: SessionView, found: BatchOnRecord, root: str) -> dict[str, Any]:
    numbers, batch = found.numbers, found.batch
    names = session.config.class_names
    images = [_image_json(batch, image, names, root) for image in found.images if batch]
    return {
        "epoch": found.place[0],
        "batch": found.place[1],
        "loss": batch.loss if batch else numbers.loss,
        "received_ms": batch.received_ms if batch else _milliseconds(numbers.received_at),
        "around": None if numbers.around is None else bin_json(numbers.around),
        "images_received": numbers.images,
        "images": images,
        "previous_with_images": _address(found.before, root),
        "next_with_images": _address(found.after, root),
        "url": f"{root}/{batch_link(session.id, *found.place)}",
    }


def _never_reported(found: BatchOnRecord) -> str:
    name = "-".join(map(str, found.place))
    if found.known is None:
        return f"batch {name} is not on record: this session has not reported a batch"
    first, last = ("-".join(map(str, place)) for place in (found.known.first, found.known.last))
    return f"batch {name} is not on record: the batches of this session go from {first} to {last}"


def _milliseconds(at: float | None) -> int | None:
    return None if at is None else int(at * 1000)


def _address(batch: ImageBatch | None, root: str) -> str | None:
    if batch is None:
        return None
    return f"{root}/api/v1/sessions/{batch.session_id}/batches/{batch.epoch}-{batch.batch}"


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
        "in_store": image.location.stored,
    }


def _label(number: int | None, names: tuple[str, ...]) -> str | None:
    return names[number] if number is not None and 0 <= number < len(names) else None
