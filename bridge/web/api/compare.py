"""Sessions side by side as JSON."""

import time
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.web.api.sessions import session_json
from bridge.web.comparison.configs import ConfigRow, compare_configs
from bridge.web.comparison.curves import CHOICES, LOSS, Point, axis_of, curves_of, points_of
from bridge.web.comparison.outcomes import best_values, nonfinite_losses
from bridge.web.comparison.selection import comparison_query, find_sessions
from bridge.web.dependencies import deps_of
from bridge.web.json_response import json_response
from bridge.web.links import public_root
from bridge.web.session_view import SessionView, session_view


async def get_comparison(request: web.Request) -> web.Response:
    """Return the sessions that were named, one curve of each, and what differs in their configurations."""
    query = comparison_query(request)
    if not query.names:
        raise InvalidDataError(
            "sessions must name one or more sessions, as in sessions=run-1,run-2"
        )
    if (by := request.query.get("by", "")) not in ("", *CHOICES):
        raise InvalidDataError(f"by must be {' or '.join(CHOICES)}, not {by[:40]!r}")
    found = await find_sessions(deps_of(request), query.names)
    root, now = public_root(request), time.time()
    views = [session_view(session, now) for session in found.sessions]
    curves = curves_of(views)
    if query.curve not in (LOSS, *curves):
        raise InvalidDataError(f"curve must be one that these sessions have: {', '.join(curves)}")
    axis, configs = axis_of(query.curve, query.by), compare_configs(views)
    return json_response(
        {
            "sessions": [_session_json(view, root) for view in views],
            "unknown": list(found.unknown),
            "left_out": list(query.left_out),
            "curves": list(curves),
            "curve": {
                "name": query.curve,
                "by": str(axis),
                "lines": [
                    {
                        "session_id": view.id,
                        "points": [
                            _point_json(point) for point in points_of(view, query.curve, axis)
                        ],
                    }
                    for view in views
                ],
            },
            "config": {
                "different": [_row_json(row) for row in configs.different],
                "equal": [_row_json(row) for row in configs.equal],
            },
        }
    )


def _session_json(view: SessionView, root: str) -> dict[str, Any]:
    return session_json(view, root) | {
        "duration_seconds": view.elapsed_seconds,
        "best": asdict(best_values(view)),
        "nonfinite_losses": nonfinite_losses(view),
        "scalars": dict(view.scalars),
    }


def _point_json(point: Point) -> dict[str, float]:
    return {"x": point.x, "mean": point.mean, "low": point.low, "high": point.high}


def _row_json(row: ConfigRow) -> dict[str, Any]:
    return {"name": row.name, "values": dict(row.values)}
