"""Serves the OpenAPI document."""

import hashlib
import json
from typing import Any

from aiohttp import web

from bridge.web.links import public_root

DOCUMENT = web.AppKey("document", dict[str, Any])
"""Without its servers: the address is the one that a request was sent to, unless there is a public one."""


async def get_document(request: web.Request) -> web.Response:
    """Return the description of the API, which a client may keep as long as its tag is the same."""
    document = request.app[DOCUMENT]
    content = {**document, "servers": [{"url": public_root(request)}]}
    body = json.dumps(content, separators=(",", ":")).encode()
    tag = hashlib.sha256(body).hexdigest()[:16]
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        response = web.Response(status=304)
    else:
        response = web.Response(body=body, content_type="application/json")
    response.etag = tag
    response.headers["Cache-Control"] = "no-cache"
    return response
