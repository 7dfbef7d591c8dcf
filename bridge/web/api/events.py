"""The events that a session has reported, as JSON."""

from typing import Any

from aiohttp import web

from bridge.occurrences import Happened
from bridge.web.attempts.all_logged import logged_view
from bridge.web.json_response import json_response


async def list_events(request: web.Request) -> web.Response:
    """Return the events that are kept, the oldest first, and how many there were in all."""
    view = await logged_view(request)
    events = [event_json(happened) for happened in view.occurrences]
    return json_response({"events": events, "total": view.occurrences_total})


def event_json(happened: Happened) -> dict[str, Any]:
    """Return an event as the API shows it."""
    one = happened.occurrence
    return {
        "at": happened.at,
        "name": one.name,
        "message": one.message or None,
        "level": str(one.level),
        "details": dict(one.details),
        "epoch": one.epoch,
        "batch": one.batch,
        "step": one.step,
    }
