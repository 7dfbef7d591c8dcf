"""Bounds the HTTP connections of a server: how many there are, and how long each may take."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import cast

from bridge.telemetry import Telemetry
from bridge.web.trusted_proxies import NO_PROXIES, TrustedProxies


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

    def __init__(
        self,
        limits: HttpConnectionLimits,
        telemetry: Telemetry,
        proxies: TrustedProxies = NO_PROXIES,
    ) -> None:
        """Start with none."""
        self.limits = limits
        self.telemetry = telemetry
        self._proxies = proxies
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._by_transport: dict[asyncio.BaseTransport, HttpConnection] = {}

    def protocol(self, inner: asyncio.Protocol, *, address: str | None = None) -> "HttpConnection":
        """Return the protocol of a new connection, around the one that speaks HTTP.

        With an address it has been given a place already.
        """
        return HttpConnection(inner, self, address)

    def request_arrived(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that a connection has sent the whole head of a request."""
        connection = self._by_transport.get(transport) if transport is not None else None
        if connection is not None:
            connection.request_arrived()

    def opened(self, connection: "HttpConnection", transport: asyncio.Transport) -> None:
        """Note that requests may come on a connection."""
        self._by_transport[transport] = connection

    def closed(self, connection: "HttpConnection", transport: asyncio.Transport) -> None:
        """Note that no more requests will come on a connection."""
        del self._by_transport[transport]
        self.give_back(connection.address)

    def take_place(self, address: str) -> str:
        """Count a connection; return why there may be no more, or "".

        Whoever comes through a trusted proxy has the proxy's address here, which so has no limit of its own.
        """
        limits = self.limits
        limit = ""
        if self._count >= limits.connections:
            limit = "connections"
        elif (
            address
            and self._by_address[address] >= limits.connections_per_address
            and address not in self._proxies
        ):
            limit = "connections_per_address"
        if limit:
            self.telemetry.http_refused(limit, address=address, setting=SETTING_OF[limit])
            return limit
        self._count += 1
        self._by_address[address] += 1
        self.telemetry.http_connections_counted(self._count)
        return ""

    def give_back(self, address: str) -> None:
        """Count a connection less."""
        self._count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        self.telemetry.http_connections_counted(self._count)


SLOW_REQUEST, SLOW_READER = "slow_request", "slow_reader"

SETTING_OF = {
    "connections": "--http-max-connections",
    "connections_per_address": "--http-max-connections-per-address",
}
"""What an operator raises where a limit is too low."""


class HttpConnection(asyncio.Protocol):
    """One connection: refused over a limit, and cut where its client takes too long."""

    def __init__(
        self, inner: asyncio.Protocol, connections: HttpConnections, address: str | None
    ) -> None:
        """Pass on to `inner` what comes; with an address it has a place already."""
        self.address = address or ""
        self.was_opened = False
        """Whether it has given back its place by itself, or will."""
        self._has_place = address is not None
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        """By the reason for which each cuts the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, or answer that there are too many."""
        transport = cast("asyncio.Transport", transport)
        if not self._has_place:
            self.address = peer_address(transport.get_extra_info("peername"))
            if limit := self._connections.take_place(self.address):
                transport.write(_refusal(limit))
                transport.close()
                return
        self._transport = transport
        self.was_opened = True
        self._connections.opened(self, transport)
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
            self._connections.closed(self, transport)
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


def peer_address(peer: object) -> str:
    """Return the address in what a socket calls its peer, "" where there is none."""
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


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
