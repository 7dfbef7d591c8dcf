"""Serve /metrics."""

import gzip
from functools import partial

from aiohttp import web

from bridge.web.dependencies import deps_of

FAST = 1
"""The level of compression: higher ones cost several times as much for a few percent."""

WORTHWHILE_BYTES = 1024


async def exposition(request: web.Request) -> web.Response:
    """Answer with all series, in the format that was asked for."""
    deps = deps_of(request)
    rendered = await deps.metrics.render(request.headers.get("Accept", ""))
    headers = {
        "Content-Type": rendered.content_type,
        "Cache-Control": "no-store",
        "Vary": "Accept, Accept-Encoding",
    }
    body = rendered.body
    if len(body) >= WORTHWHILE_BYTES and takes_gzip(request.headers.get("Accept-Encoding", "")):
        body = await deps.page_threads.run(partial(gzip.compress, body, FAST))
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)


def takes_gzip(accepted: str) -> bool:
    """Tell whether an Accept-Encoding header allows gzip."""
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
