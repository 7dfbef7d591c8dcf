"""Tell sessions and their images as JSON."""

import time
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bridge.model import Performance
from bridge.web.dependencies import deps_of
from bridge.web.json_response import json_response
from bridge.web.links import public_root, session_link
from bridge.web.request_params import whole_param
from bridge.web.session_lookup import MAX_OFFSET, all_sessions, session_of
from bridge.web.session_view import SessionView, session_view

SESSIONS_LIMIT = 100

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
