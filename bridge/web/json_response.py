"""JSON that every parser accepts."""

import json
import math
from typing import Any

from aiohttp import web


def json_response(
    value: object, *, status: int = 200, type: str = "application/json"
) -> web.Response:
    """Return a value as JSON; non-finite numbers become strings, as in protobuf's JSON mapping."""
    body = json.dumps(_without_nonfinite(value), allow_nan=False, separators=(",", ":"))
    headers = {"Cache-Control": "no-store"}
    return web.Response(text=body + "\n", status=status, content_type=type, headers=headers)


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _without_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(item) for item in value]
    return value
