"""The curves of the numbers that a session logs by name, as JSON."""

from typing import Any

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.scalar_curve import Point
from bridge.web.attempts.all_logged import logged_view
from bridge.web.charts.scalar_chart import CHOICES, STEP, x_of
from bridge.web.json_response import json_response

ANY = None


async def list_curves(request: web.Request) -> web.Response:
    """Return the curves of a session, or those of a name, of a split, or of both."""
    name, split = request.query.get("name") or ANY, request.query.get("split", ANY)
    by = request.query.get("by") or STEP
    if by not in CHOICES:
        raise InvalidDataError(f"by must be {' or '.join(CHOICES)}")
    view = await logged_view(request)
    place = x_of(view, by)
    curves = [
        {
            "name": own_name,
            "split": own_split or None,
            "points": [_point_json(point, place(point)) for point in curve.points],
        }
        for (own_name, own_split), curve in view.scalar_curves.items()
        if name in (ANY, own_name) and split in (ANY, own_split)
    ]
    return json_response(
        {
            "by": by,
            "names": list(dict.fromkeys(own_name for own_name, _ in view.scalar_curves)),
            "splits": list(dict.fromkeys(own or None for _, own in view.scalar_curves)),
            "curves": curves,
        }
    )


def _point_json(point: Point, x: float) -> dict[str, Any]:
    is_finite = point.finite > 0
    return {
        "x": x,
        "at": point.at,
        "step": int(point.step),
        "count": int(point.finite),
        "mean": point.mean if is_finite else None,
        "low": point.low if is_finite else None,
        "high": point.high if is_finite else None,
        "nonfinite": int(point.nonfinite),
    }
