"""The HTTP server: the app behind bound sockets, with or without TLS."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from bridge.sockets import BoundAddress
from bridge.web.http_connections import HttpConnections
from bridge.web.listener import BACKLOG
from bridge.web.request_limits import CONNECTIONS
from bridge.web.server_log import server_log
from bridge.web.tls import HttpTls, TlsDoor

GRACE_SECONDS = 5.0

LINGERING_SECONDS = 10.0
"""How long the rest of a body is read that was not wanted, so that its client gets the answer."""


@asynccontextmanager
async def serve_http(
    app: web.Application, listener: BoundAddress, tls: HttpTls | None = None
) -> AsyncIterator[None]:
    """Serve on bound sockets while the context lasts; without `tls` it is plain text."""
    connections = app[CONNECTIONS]
    runner = web.AppRunner(
        app,
        handle_signals=False,
        auto_decompress=False,
        access_log=None,
        shutdown_timeout=GRACE_SECONDS,
        keepalive_timeout=connections.limits.idle_seconds,
        lingering_time=min(LINGERING_SECONDS, connections.limits.request_seconds),
        logger=server_log(connections.telemetry),
    )
    await runner.setup()
    speak_http = runner.server
    assert speak_http is not None  # noqa: S101 -- it has been set up
    try:
        async with AsyncExitStack() as stack:
            if tls is None:
                for each in listener.sockets:
                    await stack.enter_async_context(_plain(each, connections, speak_http))
            else:
                await stack.enter_async_context(tls.running())
                door = TlsDoor(tls, connections, speak_http)
                for each in listener.sockets:
                    await stack.enter_async_context(door.open(each))
            yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _plain(
    listener: socket.socket,
    connections: HttpConnections,
    speak_http: Callable[[], asyncio.Protocol],
) -> AsyncIterator[None]:
    """Accept connections at a socket while the context lasts."""
    server = await asyncio.get_running_loop().create_server(
        lambda: connections.protocol(speak_http()), sock=listener, backlog=BACKLOG
    )
    try:
        yield
    finally:
        server.close()
