"""Sessions as JSON."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bridge.history import Bin
from bridge.model import Performance
from bridge.web.attempts.asked import newest_and_asked
from bridge.web.attempts.catalog import ATTEMPTS, AttemptSummary, view_of_all
from bridge.web.attempts.stitching import Stretch, stretch_of
from bridge.web.identity import identity_of
from bridge.web.json_response import json_response
from bridge.web.links import attempt_link, public_root, session_link, with_query
from bridge.web.peers.staleness import stale_seconds
from bridge.web.request_params import whole_param
from bridge.web.session_catalog import CATALOG, MAX_SESSIONS
from bridge.web.session_query import query_of
from bridge.web.session_view import SessionView, session_view

DEFAULT_LIMIT, MAX_LIMIT = 100, 500

PUBLIC_CLIENT_FIELDS = frozenset({"name", "version", "labels"})
"""Without the instance id: whoever registers with it may send as the session."""

OF_THE_SESSION = frozenset({"phase", "phase_seconds", "batches", "step"})
"""What a measurement says of the whole session, which has it itself."""


async def list_sessions(request: web.Request) -> web.Response:
    """Return the sessions that match a search, page by page; without one all, those that may still send first."""
    limit = whole_param(request, "limit", DEFAULT_LIMIT, lowest=1, highest=MAX_LIMIT)
    offset = whole_param(request, "offset", 0, highest=MAX_SESSIONS)
    query, cursor = query_of(request), request.query.get("cursor", "")
    catalog = request.app[CATALOG]
    selected = query.select(await catalog.rows(identity_of(request)))
    rest = query.rows_after(cursor, selected) if cursor else selected[offset:]
    page = rest[:limit]
    root, now = public_root(request), time.time()
    sessions = [session_json(session_view(one, now), root) for one in await catalog.load(page)]
    next_url = None
    if len(rest) > limit:
        following = {**query.parameters, "limit": str(limit), "cursor": query.cursor(page[-1])}
        next_url = with_query(f"{root}/api/v1/sessions", following)
    return json_response({"sessions": sessions, "total": len(selected), "next": next_url})


async def get_session(request: web.Request) -> web.Response:
    """Return everything that is known of a session: of all its attempts, or of the one that is asked for."""
    catalog, root = request.app[ATTEMPTS], public_root(request)
    newest, asked = await newest_and_asked(request)
    age = {"stale_seconds": stale_seconds(request)}

    def load() -> dict[str, Any]:
        attempts = catalog.all_of(newest)
        own = [attempt_json(newest.id, attempt, root) for attempt in attempts.listed]
        if asked is None:
            shown = session_json(newest, root) | _details(
                view_of_all(newest, attempts), attempts.stretches
            )
            return shown | age | {"attempts": own, "goodput_ratio": newest.goodput_ratio}
        addresses = {
            "url": f"{root}/{attempt_link(asked.id, asked.attempt)}",
            "api_url": f"{root}/api/v1/sessions/{asked.id}?attempt={asked.attempt}",
            "images_url": f"{root}/api/v1/sessions/{asked.id}/images?attempt={asked.attempt}",
        }
        details = _details(asked, (stretch_of(asked),))
        alone = [attempt for attempt in own if attempt["attempt"] == asked.attempt]
        return (
            session_json(asked, root)
            | details
            | addresses
            | age
            | {"attempts": alone, "goodput_ratio": attempts.goodput_ratio_of(asked.attempt)}
        )

    return json_response(await asyncio.to_thread(load))


def attempt_json(session_id: str, attempt: AttemptSummary, root: str) -> dict[str, Any]:
    """Return how an attempt went as the API shows it."""
    return {
        "attempt": attempt.number,
        "state": attempt.state,
        "status_message": attempt.message or None,
        "registered_at": attempt.registered_at,
        "ended_at": None if attempt.is_live else attempt.until,
        "lost_seconds_before": attempt.lost_seconds,
        "goodput_ratio": attempt.goodput_ratio,
        "batches": attempt.batches,
        "first": attempt.first and f"{attempt.first[0]}-{attempt.first[1]}",
        "last": attempt.last and f"{attempt.last[0]}-{attempt.last[1]}",
        "url": f"{root}/{attempt_link(session_id, attempt.number)}",
        "api_url": f"{root}/api/v1/sessions/{session_id}?attempt={attempt.number}",
    }


def _details(view: SessionView, stretches: Sequence[Stretch]) -> dict[str, Any]:
    return {
        "client": {
            name: None if value == "" else value
            for name, value in asdict(view.client).items()
            if name in PUBLIC_CLIENT_FIELDS
        },
        "batch_size": view.config.batch_size or None,
        "class_names": list(view.config.class_names) or None,
        "config": dict(view.client.run_config),
        "epochs": [asdict(epoch) for epoch in view.epochs_done],
        "performance": _performance_json(view.performance),
        "is_partial": view.is_partial,
        "phase": view.phase or None,
        "phase_seconds": {name: passed for name, passed in view.phase_seconds.items() if passed},
        "scalars": dict(view.scalars),
        "scalars_by_split": dict(view.scalars_by_split),
        "notices": [asdict(notice) for notice in view.notices],
        "losses": [
            bin_json(bin_) | {"attempt": stretch.attempt}
            for stretch in stretches
            for bin_ in stretch.bins
        ],
    }


def session_json(view: SessionView, root: str) -> dict[str, Any]:
    """Return a session as a list of sessions shows it."""
    return {
        "session_id": view.id,
        "state": view.state,
        "status": str(view.status),
        "status_message": view.status_message or None,
        "stage": str(view.stage),
        "connected": view.connected,
        "attempt": view.attempt,
        "run_id": view.client.run_id or None,
        "rank": view.client.rank,
        "world_size": view.client.world_size or None,
        "client_name": view.client.name or None,
        "model_name": view.config.model_name or None,
        "dataset_name": view.config.dataset_name or None,
        "registered_at": view.registered_at,
        "updated_at": view.updated_at,
        "ended_at": view.ended_at or None,
        "epoch": view.epoch_reached if view.has_place and not view.counts_steps else None,
        "batch": _batch_reached(view),
        "batches": view.batches,
        "step": view.step,
        "tokens": view.tokens or None,
        "total_steps": (view.total_steps if view.counts_steps else 0) or None,
        "total_epochs": (0 if view.counts_steps else view.config.total_epochs) or None,
        "batches_per_epoch": (0 if view.counts_steps else view.config.batches_per_epoch) or None,
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


def _batch_reached(view: SessionView) -> int | None:
    is_known = view.has_place and (view.batches or view.epoch or view.batch)
    return view.batch if is_known and not view.counts_steps else None


def _performance_json(performance: Performance | None) -> dict[str, Any] | None:
    if performance is None:
        return None
    fields = {
        name: value for name, value in asdict(performance).items() if name not in OF_THE_SESSION
    }
    for gpu in fields["resources"]["gpus"] if fields["resources"] else ():
        gpu["uuid"] = gpu["uuid"] or None
    return fields


def bin_json(bin_: Bin) -> dict[str, Any]:
    """Return a bin of a loss curve as the API shows it."""
    return {
        "start": bin_.start,
        "count": bin_.count,
        "mean": bin_.mean if bin_.count else None,
        "low": bin_.low if bin_.count else None,
        "high": bin_.high if bin_.count else None,
        "nonfinite": bin_.nonfinite,
        "epoch": bin_.epoch,
        "batch": bin_.batch,
    }
