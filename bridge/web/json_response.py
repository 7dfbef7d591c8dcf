"""Write JSON that every parser takes."""

import json
import math
from typing import Any

from aiohttp import web


def json_response(
    value: object, *, status: int = 200, type: str = "application/json"
) -> web.Response:
    """Answer with JSON; "NaN", "Infinity" and "-Infinity" are strings, as in protobuf's mapping."""
    body = json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
    headers = {"Cache-Control": "no-store"}
    return web.Response(text=body + "\n", status=status, content_type=type, headers=headers)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
