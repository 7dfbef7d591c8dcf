"""The images of a session as JSON."""

import asyncio
from typing import Any

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.session import Session
from bridge.storage.index import ImageBatch, ImageIndex, IndexedImage
from bridge.web.api.image_listing import listing_of
from bridge.web.api.sessions import bin_json
from bridge.web.attempts.asked import images_asked
from bridge.web.attempts.attempt_of_batch import attempt_of_batch
from bridge.web.attempts.catalog import ATTEMPTS
from bridge.web.batch_record import BatchOnRecord, batch_on_record, reason_of
from bridge.web.dependencies import deps_of
from bridge.web.json_response import json_response
from bridge.web.links import batch_link, image_link, public_root, with_query
from bridge.web.missing_images import images_problem
from bridge.web.request_params import batch_of, whole_param
from bridge.web.session_images import session_images
from bridge.web.session_lookup import asked_attempt
from bridge.web.session_view import SessionView

DEFAULT_LIMIT, MAX_LIMIT = 50, 200


async def list_images(request: web.Request) -> web.Response:
    """Return the batches with images, by epoch and batch, or those of a time, newest first; each with its images."""
    root, images = public_root(request), await session_images(request)
    session, index = images.session, images.index
    limit = whole_param(request, "limit", DEFAULT_LIMIT, lowest=1, highest=MAX_LIMIT)
    list_batches = listing_of(request, asked_attempt(request))

    def load() -> tuple[list[dict[str, Any]], dict[str, str] | None]:
        batches, following = list_batches(index, session.id, limit)
        return [
            _batch_json(session, batch, _images_of(index, batch), root) for batch in batches
        ], following

    batches, following = await asyncio.to_thread(load)
    next_url = None
    if following is not None:
        given = {"limit": str(limit), **following, "attempt": request.query.get("attempt", "")}
        next_url = with_query(f"{root}/api/v1/sessions/{session.id}/images", given)
    return json_response({"batches": batches, "next": next_url})


async def get_batch(request: web.Request) -> web.Response:
    """Return what is known of one batch, its images included; raises NotFoundError where it was never reported."""
    deps, root, catalog = deps_of(request), public_root(request), request.app[ATTEMPTS]
    images = await session_images(request)
    newest, asked = await images_asked(request, images)
    place, problem = batch_of(request), images_problem(deps)

    def load() -> dict[str, Any]:
        index = images.index
        chosen = attempt_of_batch(index, deps.archive, catalog, newest, place, asked)
        session = chosen.session
        found = batch_on_record(index, session, place, is_alone=asked is not None)
        if not found.is_reported:
            images.check()
            raise NotFoundError(_never_reported(found))
        reason = reason_of(index, session, found, problem)
        several = {"attempt": session.attempt, "also_in": [one.number for one in chosen.others]}
        record = _record_json(session, found, root, is_alone=asked is not None)
        return record | several | {"images_missing_because": reason or None}

    return json_response(await asyncio.to_thread(load))


def _images_of(index: ImageIndex, batch: ImageBatch) -> list[IndexedImage]:
    return index.images(batch.session_id, batch.epoch, batch.batch, attempt=batch.attempt)


def _record_json(
    session: SessionView, found: BatchOnRecord, root: str, *, is_alone: bool
) -> dict[str, Any]:
    numbers, batch = found.numbers, found.batch
    attempt = session.attempt if is_alone else None
    names = session.config.class_names
    page = f"{root}/{batch_link(session.id, *found.place, attempt)}"
    images = [_image_json(batch, image, names, root, page) for image in found.images if batch]
    return {
        "epoch": found.place[0],
        "batch": found.place[1],
        "loss": batch.loss if batch else numbers.loss,
        "received_ms": batch.received_ms if batch else _milliseconds(numbers.received_at),
        "around": None if numbers.around is None else bin_json(numbers.around),
        "images_received": numbers.images,
        "images": images,
        "previous_with_images": _address(found.before, root, attempt),
        "next_with_images": _address(found.after, root, attempt),
        "url": page,
    }


def _never_reported(found: BatchOnRecord) -> str:
    name = "-".join(map(str, found.place))
    if found.known is None:
        return f"batch {name} is not on record: this session has not reported a batch"
    first, last = ("-".join(map(str, place)) for place in (found.known.first, found.known.last))
    return f"batch {name} is not on record: the batches of this session go from {first} to {last}"


def _milliseconds(at: float | None) -> int | None:
    return None if at is None else int(at * 1000)


def _address(batch: ImageBatch | None, root: str, attempt: int | None) -> str | None:
    if batch is None:
        return None
    link = batch_link(batch.session_id, batch.epoch, batch.batch)
    return with_query(f"{root}/api/v1/{link}", {"attempt": str(attempt or "")})


def _batch_json(
    session: Session, batch: ImageBatch, images: list[IndexedImage], root: str
) -> dict[str, Any]:
    attempt = batch.attempt if session.attempt > 1 else None
    names = session.config.class_names
    page = f"{root}/{batch_link(batch.session_id, batch.epoch, batch.batch, attempt)}"
    return {
        "epoch": batch.epoch,
        "batch": batch.batch,
        "attempt": batch.attempt,
        "received_ms": batch.received_ms,
        "loss": batch.loss,
        "url": page,
        "images": [_image_json(batch, image, names, root, page) for image in images],
    }


def _image_json(
    batch: ImageBatch, image: IndexedImage, names: tuple[str, ...], root: str, page: str
) -> dict[str, Any]:
    return {
        "epoch": batch.epoch,
        "batch": batch.batch,
        "received_ms": batch.received_ms,
        "loss": batch.loss,
        "batch_url": page,
        "position": image.position,
        "url": f"{root}/{image_link(batch.session_id, batch, image)}",
        "predicted_class": image.predicted_class,
        "predicted_label": _label(image.predicted_class, names),
        "confidence": image.confidence,
        "true_class": image.true_class,
        "true_label": _label(image.true_class, names),
        "is_wrong": image.is_wrong,
        "in_store": image.location.stored,
        "is_lost": image.location.lost,
    }


def _label(number: int | None, names: tuple[str, ...]) -> str | None:
    return names[number] if number is not None and 0 <= number < len(names) else None
