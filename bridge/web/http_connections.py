"""Bounds the HTTP connections of a server: how many there are, and how long each may take."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import cast

from bridge.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class HttpConnectionLimits:
    """What clients may take of the HTTP server."""

    connections: int = 1_000
    connections_per_address: int = 250
    request_seconds: float = 30.0
    """To send a whole request, and again to take the response."""
    idle_seconds: float = 75.0
    """Between two requests."""
    metrics_pages: int = 8
    """Different pages of /metrics on their way at once."""


class HttpConnections:
    """Counts the open connections, and wraps the protocol of each new one."""

    def __init__(self, limits: HttpConnectionLimits, telemetry: Telemetry) -> None:
        """Start with none."""
        self.limits = limits
        self.telemetry = telemetry
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._by_transport: dict[asyncio.BaseTransport, HttpConnection] = {}

    def protocol(self, inner: asyncio.Protocol) -> "HttpConnection":
        """Return the protocol of a new connection, around the one that speaks HTTP."""
        return HttpConnection(inner, self)

    def request_arrived(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that a connection has sent the whole head of a request."""
        connection = self._by_transport.get(transport) if transport is not None else None
        if connection is not None:
            connection.request_arrived()

    def admit(self, connection: "HttpConnection", transport: asyncio.Transport) -> str:
        """Count a connection; return why there may be no more, or ""."""
        limits, address = self.limits, connection.address
        if self._count >= limits.connections:
            return "connections"
        if address and self._by_address[address] >= limits.connections_per_address:
            return "connections_per_address"
        self._by_transport[transport] = connection
        self._count += 1
        self._by_address[address] += 1
        self.telemetry.http_connections_counted(self._count)
        return ""

    def release(self, connection: "HttpConnection", transport: asyncio.Transport) -> None:
        """Count a connection less."""
        del self._by_transport[transport]
        self._count -= 1
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        self.telemetry.http_connections_counted(self._count)


SLOW_REQUEST, SLOW_READER = "slow_request", "slow_reader"

SETTING_OF = {
    "connections": "--http-max-connections",
    "connections_per_address": "--http-max-connections-per-address",
}
"""What an operator raises where a limit is too low."""


class HttpConnection(asyncio.Protocol):
    """One connection: refused over a limit, and cut where its client takes too long."""

    def __init__(self, inner: asyncio.Protocol, connections: HttpConnections) -> None:
        """Pass on to `inner` what comes."""
        self.address = ""
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        """By the reason for which each cuts the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, or answer that there are too many."""
        transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        limit = self._connections.admit(self, transport)
        if limit:
            self._connections.telemetry.http_refused(
                limit, address=self.address, setting=SETTING_OF[limit]
            )
            transport.write(_refusal(limit))
            transport.close()
            return
        self._transport = transport
        self._start_timer(SLOW_REQUEST)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what was received; of a refused connection nothing is read."""
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on the end of what the client sends."""
        return self._inner.eof_received() if self._transport is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection's place."""
        transport, self._transport = self._transport, None
        for reason in tuple(self._timers):
            self._stop_timer(reason)
        if transport is not None:
            self._connections.release(self, transport)
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client its time to take what has been written."""
        if self._transport is not None:
            self._start_timer(SLOW_READER)
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Note that the client has taken enough."""
        self._stop_timer(SLOW_READER)
        if self._transport is not None:
            self._inner.resume_writing()

    def request_arrived(self) -> None:
        """Note that the head of a request is there; its body and its handling have limits of their own."""
        self._stop_timer(SLOW_REQUEST)

    def _start_timer(self, reason: str) -> None:
        self._stop_timer(reason)
        loop, seconds = asyncio.get_running_loop(), self._connections.limits.request_seconds
        self._timers[reason] = loop.call_later(seconds, self._cut, reason)

    def _stop_timer(self, reason: str) -> None:
        timer = self._timers.pop(reason, None)
        if timer is not None:
            timer.cancel()

    def _cut(self, reason: str) -> None:
        self._connections.telemetry.http_refused(reason, address=self.address)
        if self._transport is not None:
            self._transport.abort()


def _refusal(limit: str) -> bytes:
    text = (
        f"this bridge has too many open connections ({SETTING_OF[limit]}); try again in a moment\n"
    )
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text)}\r\nRetry-After: 5\r\nConnection: close\r\n"
        "X-Content-Type-Options: nosniff\r\nServer: trainbridge\r\n\r\n"
    )
    return (head + text).encode()
