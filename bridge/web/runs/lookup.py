"""Find the ranks of a run, in memory and in the archive."""

import time
from collections import Counter

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.model import Client
from bridge.protocol import SESSION_ID
from bridge.session import Session
from bridge.web.dependencies import deps_of
from bridge.web.identity import identity_of
from bridge.web.runs.reading import reading_of
from bridge.web.runs.view import MAX_RANKS, RunView
from bridge.web.session_catalog import CATALOG

NO_RUN = (
    "no ranks of a run of this name are known here: none was ever registered at this bridge, or they have"
    " been deleted"
)


async def run_of(request: web.Request) -> RunView:
    """Return the run in the path; raises NotFoundError where no rank of it is known."""
    run_id = request.match_info["run_id"]
    sessions = await _archived_too(request, run_id) if SESSION_ID.fullmatch(run_id) else []
    if not sessions:
        raise NotFoundError(NO_RUN)
    return view_of(run_id, sessions)


async def run_around(request: web.Request, client: Client) -> RunView | None:
    """Return the run that a session's client is a rank of; None where it is known to be alone, or of no other."""
    if not client.run_id or client.rank is None or client.world_size == 1:
        return None
    sessions = _in_memory(request, client.run_id)
    if len(sessions) < client.world_size or not client.world_size:
        sessions = await _archived_too(request, client.run_id)
    return view_of(client.run_id, sessions) if len(sessions) > 1 else None


def _in_memory(request: web.Request, run_id: str) -> list[Session]:
    sessions = deps_of(request).sessions
    return [one for one in sessions if one.client.run_id == run_id and one.client.rank is not None]


async def _archived_too(request: web.Request, run_id: str) -> list[Session]:
    catalog = request.app[CATALOG]
    rows = [
        row
        for row in await catalog.rows(identity_of(request))
        if row.run_id == run_id and row.rank is not None
    ]
    rows.sort(key=lambda row: (row.rank or 0, -row.registered_at))
    return await catalog.load(rows[:MAX_RANKS])


def view_of(run_id: str, sessions: list[Session]) -> RunView:
    """Return the view of a run; of two sessions that say they are the same rank, that which began later."""
    newest: dict[int | None, Session] = {}
    for session in sorted(sessions, key=lambda one: one.registered_at):
        newest[session.client.rank] = session
    readings = sorted(map(reading_of, newest.values()), key=lambda one: one.rank)
    world_size = max((one.client.world_size for one in newest.values()), default=0)
    if world_size and readings:
        world_size = max(world_size, readings[-1].rank + 1)
    live = Counter(one.client.rank for one in sessions if one.connected)
    shared = tuple(sorted(rank for rank, count in live.items() if rank is not None and count > 1))
    return RunView(run_id, world_size, tuple(readings[:MAX_RANKS]), time.time(), shared)
