"""Sessions side by side as JSON."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.web.api.sessions import session_json
from bridge.web.attempts.catalog import ATTEMPTS
from bridge.web.comparison.configs import ConfigRow, compare_configs
from bridge.web.comparison.contestants import Contestant, contestants
from bridge.web.comparison.curves import CHOICES, LOSS, By, Point, axis_of, curves_of, points_of
from bridge.web.comparison.outcomes import best_values, nonfinite_losses
from bridge.web.comparison.selection import comparison_query, find_sessions
from bridge.web.dependencies import deps_of
from bridge.web.json_response import json_response
from bridge.web.links import public_root
from bridge.web.session_view import session_view


async def get_comparison(request: web.Request) -> web.Response:
    """Return the sessions that were named, one curve of each, and what differs in their configurations."""
    query = comparison_query(request)
    if query.impossible:
        raise InvalidDataError(
            f"sessions has {query.impossible[0][:40]!r}, which no session can be called: put commas between names, and"
            " leave this one out"
        )
    if not query.names:
        raise InvalidDataError(
            "sessions must name one or more sessions, as in sessions=run-1,run-2"
        )
    if (by := request.query.get("by", "")) not in ("", *CHOICES):
        raise InvalidDataError(f"by must be {' or '.join(CHOICES)}, not {by[:40]!r}")
    found = await find_sessions(deps_of(request), query.names)
    root, now, catalog = public_root(request), time.time(), request.app[ATTEMPTS]
    newest = [session_view(session, now) for session in found.sessions]
    compared = await asyncio.to_thread(contestants, catalog, newest)
    curves = curves_of(one.view for one in compared)
    if query.curve not in (LOSS, *curves):
        raise InvalidDataError(f"curve must be one that these sessions have: {', '.join(curves)}")
    configs = compare_configs(newest)
    return json_response(
        {
            "sessions": [_session_json(one, root) for one in compared],
            "unknown": list(found.unknown),
            "left_out": list(query.left_out),
            "curves": list(curves),
            "curve": _curve_json(compared, query.curve, axis_of(query.curve, query.by)),
            "config": {
                "different": [_row_json(row) for row in configs.different],
                "equal": [_row_json(row) for row in configs.equal],
                "cells": [
                    *_cells_json(configs.different, is_different=True),
                    *_cells_json(configs.equal, is_different=False),
                ],
            },
        }
    )


def _curve_json(compared: Sequence[Contestant], curve: str, by: By) -> dict[str, Any]:
    lines = [
        {
            "session_id": one.view.id,
            "points": [
                {"session_id": one.view.id, **_point_json(point)}
                for point in points_of(one.view, curve, by)
            ],
        }
        for one in compared
    ]
    return {"name": curve, "by": str(by), "lines": lines}


def _session_json(one: Contestant, root: str) -> dict[str, Any]:
    view = one.view
    return session_json(view, root) | {
        "duration_seconds": view.elapsed_seconds,
        "lost_seconds": one.attempts.lost_seconds if one.attempts.has_several else None,
        "goodput_ratio": view.goodput_ratio,
        "best": asdict(best_values(view)),
        "nonfinite_losses": nonfinite_losses(view),
        "scalars": dict(view.scalars),
        "scalars_by_split": dict(view.scalars_by_split),
    }


def _point_json(point: Point) -> dict[str, float]:
    return {"x": point.x, "mean": point.mean, "low": point.low, "high": point.high}


def _row_json(row: ConfigRow) -> dict[str, Any]:
    return {"name": row.name, "values": dict(row.values)}


def _cells_json(rows: Sequence[ConfigRow], *, is_different: bool) -> list[dict[str, Any]]:
    """Return one object for each value, which is a row of the tables of other programs."""
    return [
        {"name": row.name, "session_id": session_id, "value": value, "is_different": is_different}
        for row in rows
        for session_id, value in row.values.items()
    ]
