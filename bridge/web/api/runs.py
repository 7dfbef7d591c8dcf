"""The ranks of a run as JSON."""

from typing import Any

from aiohttp import web

from bridge.web.json_response import json_response
from bridge.web.links import public_root, run_link, session_link
from bridge.web.request_params import whole_param
from bridge.web.runs.findings import findings
from bridge.web.runs.lookup import run_of
from bridge.web.runs.selection import rank_sort, sorted_ranks
from bridge.web.runs.view import MAX_RANKS, Rank, RunView

DEFAULT_LIMIT = 512


async def get_run(request: web.Request) -> web.Response:
    """Return a run: what stands out, and its ranks in the order asked for."""
    sort = rank_sort(request)
    limit = whole_param(request, "limit", DEFAULT_LIMIT, lowest=1, highest=MAX_RANKS)
    offset = whole_param(request, "offset", 0, highest=MAX_RANKS)
    view, root = await run_of(request), public_root(request)
    ranks = sorted_ranks(view, sort)[offset : offset + limit]
    content = {
        "run_id": view.run_id,
        "world_size": view.world_size or None,
        "registered": len(view.readings),
        "connected": view.connected,
        "missing_ranks": list(view.missing),
        "median_step_seconds": view.median_step_seconds,
        "standstill_seconds": view.standstill_seconds,
        "slowest_rank": view.slowest.reading.rank if view.slowest else None,
        "ranks_behind": [rank.reading.rank for rank in view.behind],
        "findings": [
            {"severity": str(finding.severity), "text": finding.text} for finding in findings(view)
        ],
        "ranks": [_rank_json(view, rank, root) for rank in ranks],
        "url": f"{root}/{run_link(view.run_id)}",
    }
    return json_response(content)


def _rank_json(view: RunView, rank: Rank, root: str) -> dict[str, Any]:
    reading, gpus = rank.reading, rank.reading.gpus
    return {
        "rank": reading.rank,
        "session_id": reading.session_id,
        "state": reading.state,
        "connected": reading.is_connected,
        "updated_at": reading.updated_at,
        "stepped_at": reading.stepped_at or None,
        "step": view.position(reading),
        "step_seconds": reading.step_seconds,
        "phase": reading.phase or None,
        "phase_shares": dict(reading.phase_shares),
        "straggler_ratio": rank.straggler_ratio,
        "slow": rank.is_slow,
        "behind": rank.is_behind,
        "gpu_utilization_ratio": gpus.utilization,
        "gpu_memory_used_bytes": gpus.memory_used,
        "gpu_memory_total_bytes": gpus.memory_total,
        "gpu_throttle_reasons": None
        if gpus.throttle_reasons is None
        else list(gpus.throttle_reasons),
        "gpu_errors": gpus.errors,
        "url": f"{root}/{session_link(reading.session_id)}",
    }
