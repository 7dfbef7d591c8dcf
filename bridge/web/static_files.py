"""Serve the style sheet, the script and the icon."""

import hashlib

from aiohttp import web

from bridge.web.errors import Endpoint
from bridge.web.templating import FOLDER

STATIC_TYPES = {
    "style.css": "text/css",
    "live.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
}


def static_file(name: str, content_type: str) -> Endpoint:
    """Return an endpoint that serves a file, which browsers revalidate."""
    body = (FOLDER / "static" / name).read_bytes()
    tag = hashlib.sha256(body).hexdigest()[:16]

    async def respond(request: web.Request) -> web.Response:
        cached = request.if_none_match or ()
        if any(etag.value in (tag, "*") for etag in cached):
            response = web.Response(status=304)
        else:
            response = web.Response(body=body, content_type=content_type, charset="utf-8")
        response.etag = tag
        response.headers["Cache-Control"] = "no-cache"
        return response

    return respond
