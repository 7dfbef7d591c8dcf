"""What has happened to sessions, as JSON for annotations of charts."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bridge.web.annotations.annotation import Annotation
from bridge.web.annotations.asked import SESSIONS_LIMIT, Asked, asked_annotations
from bridge.web.annotations.collecting import (
    Source,
    all_annotations,
    archived_source,
    source_in_memory,
)
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.json_response import json_response
from bridge.web.links import ANNOTATIONS, public_root, with_query


async def list_annotations(request: web.Request) -> web.Response:
    """Return annotations, the newest first; sessions that are not here have none, and are named."""
    deps, root, asked, now = (
        deps_of(request),
        public_root(request),
        asked_annotations(request),
        time.time(),
    )
    names = asked.sessions or _running(deps)
    here = {
        name: source_in_memory(deps, session, now)
        for name in names
        if (session := deps.sessions.find(name)) is not None
    }

    def load() -> dict[str, Any]:
        sources: Mapping[str, Source | None] = {
            name: here.get(name) or archived_source(deps.archive, name, now) for name in names
        }
        known = [source for source in sources.values() if source is not None]
        page, skip = asked.page(all_annotations(deps.archive, known, asked, now))
        return {
            "annotations": [_annotation_json(one, root) for one in page],
            "next": None if skip is None else _next_url(asked, page[-1].time_ms, skip, root),
            "unknown_sessions": [name for name, source in sources.items() if source is None],
        }

    return json_response(await asyncio.to_thread(load))


def _running(deps: AppDependencies) -> tuple[str, ...]:
    """Return the sessions in memory that were registered last."""
    return tuple(session.id for session in deps.sessions)[-SESSIONS_LIMIT:]


def _annotation_json(annotation: Annotation, root: str) -> dict[str, Any]:
    until = annotation.until
    return {
        "time": annotation.time_ms,
        "timeEnd": None if until is None else round(until * 1000),
        "kind": str(annotation.kind),
        "title": annotation.title,
        "text": annotation.text,
        "tags": [str(annotation.kind), *annotation.tags],
        "session_id": annotation.session_id,
        "attempt": annotation.attempt,
        "link": f"{root}/{annotation.link}",
    }


def _next_url(asked: Asked, to_ms: int, skip: int, root: str) -> str:
    query = {
        "session": ",".join(asked.sessions),
        "kind": ",".join(sorted(asked.kinds)),
        "from": str(asked.from_ms),
        "to": str(to_ms),
        "skip": str(skip),
        "limit": str(asked.limit),
    }
    return with_query(f"{root}/{ANNOTATIONS}", query)
