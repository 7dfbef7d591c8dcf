"""Serve /metrics."""

import gzip
from functools import partial

from aiohttp import web

from bridge.web.dependencies import deps_of

COMPRESSION_LEVEL = 1
"""Higher levels cost several times as much for a few percent."""

MIN_COMPRESSED_BYTES = 1024


async def exposition(request: web.Request) -> web.Response:
    """Return all series, in the format that the client accepts."""
    deps = deps_of(request)
    rendered = await deps.metrics.render(request.headers.get("Accept", ""))
    headers = {
        "Content-Type": rendered.content_type,
        "Cache-Control": "no-store",
        "Vary": "Accept, Accept-Encoding",
    }
    body = rendered.body
    is_worthwhile = len(body) >= MIN_COMPRESSED_BYTES
    if is_worthwhile and accepts_gzip(request.headers.get("Accept-Encoding", "")):
        body = await deps.page_threads.run(partial(gzip.compress, body, COMPRESSION_LEVEL))
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip."""
    for coding in accept_encoding.lower().split(","):
        name, _, parameters = coding.partition(";")
        if name.strip() in ("gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
