"""Serve /metrics."""

import gzip
from contextlib import suppress
from functools import partial

from aiohttp import web

from bridge.errors import OverloadedError
from bridge.web.client_address import client_address
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.identity import identity_of
from bridge.web.scrapes import Scrape, Scrapes
from bridge.web.sliced_payload import SlicedPayload

SCRAPES = web.AppKey("scrapes", Scrapes)

COMPRESSION_LEVEL = 1
"""Higher levels cost several times as much for a few percent."""

MIN_COMPRESSED_BYTES = 1024


async def exposition(request: web.Request) -> web.Response:
    """Send all series, or those of the sessions that whoever asks may see, in the format that the client accepts."""
    deps = deps_of(request)
    accept, sessions = request.headers.get("Accept", ""), identity_of(request).sessions
    try:
        async with request.app[SCRAPES].page(deps.metrics.render, accept, sessions) as scrape:
            response = await _response(request, deps, scrape)
            await _send(request, response)
    except OverloadedError:
        deps.telemetry.http_refused("metrics_pages", address=client_address(request))
        raise
    return response


async def _response(request: web.Request, deps: AppDependencies, scrape: Scrape) -> web.Response:
    content_type = scrape.page.content_type
    headers = {
        "Content-Type": content_type,
        "Cache-Control": "no-store",
        "Vary": "Accept, Accept-Encoding, Authorization, Cookie",
    }
    body = scrape.page.body
    is_worthwhile = len(body) >= MIN_COMPRESSED_BYTES
    if is_worthwhile and accepts_gzip(request.headers.get("Accept-Encoding", "")):
        body = await scrape.compress(
            lambda page: deps.page_threads.run(partial(gzip.compress, page, COMPRESSION_LEVEL))
        )
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=SlicedPayload(body, content_type), headers=headers)


async def _send(request: web.Request, response: web.Response) -> None:
    """Send a response here and now, while its page is held; the server finds it sent."""
    with suppress(ConnectionError):  # whoever has gone needs nothing more
        await response.prepare(request)
        await response.write_eof()


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip."""
    for coding in accept_encoding.lower().split(","):
        name, _, parameters = coding.partition(";")
        if name.strip() in ("gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
