"""Tell sessions and their images as JSON."""

import asyncio
import time
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.model import Performance
from bridge.storage.index import ImageBatch, IndexedImage
from bridge.web.dependencies import deps_of
from bridge.web.json_response import json_response
from bridge.web.links import batch_link, image_link, public_root, session_link
from bridge.web.request_params import parse_batch, whole_param
from bridge.web.session_lookup import MAX_OFFSET, all_sessions, session_of
from bridge.web.session_view import SessionView, session_view

SESSIONS_LIMIT = 100
IMAGES_LIMIT = 50

SHOWN_OF_CLIENT = frozenset({"name", "version", "labels"})
"""Not its instance id: whoever registers with that speaks for the session."""


async def list_sessions(request: web.Request) -> web.Response:
    """Tell the sessions, newest first, those that may still send before all others."""
    limit = whole_param(request, "limit", SESSIONS_LIMIT, lowest=1, highest=500)
    offset = whole_param(request, "offset", 0, highest=MAX_OFFSET)
    root, now = public_root(request), time.time()
    found = await all_sessions(deps_of(request), offset + limit + 1)
    told = [session_json(session_view(one, now), root) for one in found[offset : offset + limit]]
    more = len(found) > offset + limit
    follow = f"{root}/api/v1/sessions?limit={limit}&offset={offset + limit}" if more else None
    return json_response({"sessions": told, "next": follow})


async def one_session(request: web.Request) -> web.Response:
    """Tell everything that is known of a session."""
    root = public_root(request)
    view = session_view(await session_of(request), time.time())
    told = session_json(view, root) | {
        "client": {
            name: None if value == "" else value
            for name, value in asdict(view.client).items()
            if name in SHOWN_OF_CLIENT
        },
        "batch_size": view.config.batch_size or None,
        "class_names": list(view.config.class_names) or None,
        "epochs": [asdict(epoch) for epoch in view.epochs_done],
        "performance": _performance_json(view.performance),
        "scalars": dict(view.scalars),
        "notices": [asdict(notice) for notice in view.notices],
        "losses": [
            {
                "start": part.start,
                "count": part.count,
                "mean": part.mean if part.count else None,
                "low": part.low if part.count else None,
                "high": part.high if part.count else None,
                "nonfinite": part.nonfinite,
                "epoch": part.epoch,
                "batch": part.batch,
            }
            for part in view.loss_bins
        ],
    }
    return json_response(told)


async def list_images(request: web.Request) -> web.Response:
    """Tell the batches with images by epoch and batch, each with its images."""
    deps, root = deps_of(request), public_root(request)
    session = await session_of(request)
    limit = whole_param(request, "limit", IMAGES_LIMIT, lowest=1, highest=200)
    after = request.query.get("after", "")
    begin = parse_batch(after)
    if after and begin is None:
        raise InvalidDataError("after must be <epoch>-<batch>, as in 3-120")
    names = session.config.class_names

    def look() -> list[dict[str, Any]]:
        return [
            _batch_json(batch, deps.index.images(session.id, batch.epoch, batch.batch), names, root)
            for batch in deps.index.page(session.id, limit=limit, after=begin)
        ]

    batches = await asyncio.to_thread(look)
    follow = None
    if len(batches) == limit:
        last = f"{batches[-1]['epoch']}-{batches[-1]['batch']}"
        follow = f"{root}/api/v1/sessions/{session.id}/images?limit={limit}&after={last}"
    return json_response({"batches": batches, "next": follow})


def session_json(view: SessionView, root: str) -> dict[str, Any]:
    """Return a session as lists tell it."""
    return {
        "session_id": view.id,
        "state": view.state,
        "status": str(view.status),
        "status_message": view.status_message or None,
        "phase": str(view.phase),
        "connected": view.connected,
        "attempt": view.attempt,
        "client_name": view.client.name or None,
        "model_name": view.config.model_name or None,
        "dataset_name": view.config.dataset_name or None,
        "registered_at": view.registered_at,
        "updated_at": view.updated_at,
        "ended_at": view.ended_at or None,
        "epoch": view.epoch_reached if view.has_begun else None,
        "batch": view.batch if view.batches or view.scalars else None,
        "batches": view.batches,
        "total_epochs": view.config.total_epochs or None,
        "batches_per_epoch": view.config.batches_per_epoch or None,
        "progress_ratio": view.progress_ratio,
        "loss": view.loss,
        "accuracy_ratio": view.accuracy_ratio,
        "frames_per_second": view.frames_per_second,
        "gpu_utilization_ratio": view.gpu_utilization_ratio,
        "estimated_time_remaining_seconds": view.remaining_seconds,
        "trace_id": view.trace_id,
        "url": f"{root}/{session_link(view.id)}",
        "api_url": f"{root}/api/v1/sessions/{view.id}",
        "images_url": f"{root}/api/v1/sessions/{view.id}/images",
    }


def _performance_json(performance: Performance | None) -> dict[str, Any] | None:
    if performance is None:
        return None
    plain = asdict(performance)
    for gpu in plain["resources"]["gpus"] if plain["resources"] else ():
        gpu["uuid"] = gpu["uuid"] or None
    return plain


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
    known = number is not None and 0 <= number < len(names)
    return names[number] if known and number is not None else None
