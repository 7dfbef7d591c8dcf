"""The gRPC server around the servicer: address, limits, health and reflection."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bridge.addresses import join_address
from bridge.errors import SettingError
from bridge.receiver.certificates import Certificates
from bridge.receiver.servicer import SERVICE, Servicer
from bridge.sockets import bound_sockets

KEEPALIVE_MS = 20_000

ATTEMPTS = 5
"""A port that our sockets have found free may be taken before gRPC binds it."""

IPV4_WILDCARD = "0.0.0.0"  # noqa: S104 -- recognized here, not bound


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A server that has its port."""

    server: grpc.aio.Server
    address: str
    """host:port, the port being the one bound."""


@dataclass(frozen=True, slots=True)
class GrpcConnectionLimits:
    """What clients may take of the server before they open a stream."""

    connections: int = 4_000
    handshake_seconds: float = 10.0
    """For TLS and the first settings of HTTP/2."""
    idle_seconds: float = 300.0
    """Without any call."""


@asynccontextmanager
async def bind_server(
    address: str,
    *,
    max_message_bytes: int,
    lookahead_bytes: int,
    certificates: Certificates | None = None,
    limits: GrpcConnectionLimits = GrpcConnectionLimits(),
) -> AsyncIterator[GrpcServer]:
    """Hold an address while the block lasts; nothing is served yet. Without certificates it is plain text.

    Raises SettingError where the address cannot be bound, or the certificates cannot be used.
    """
    server = grpc.aio.server(options=_options(max_message_bytes, lookahead_bytes, limits))
    with ExitStack() as stack:
        bound = _bind(stack, server, address, certificates)
        try:
            yield GrpcServer(server, bound)
        finally:
            await server.stop(grace=None)


@asynccontextmanager
async def serve_grpc(
    grpc_server: GrpcServer, servicer: Servicer, *, grace_seconds: float
) -> AsyncIterator[None]:
    """Serve until the block is left; then drain every stream within the grace."""
    server = grpc_server.server
    server.add_generic_rpc_handlers((servicer.handlers(),))
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    await server.start()
    for name in ("", SERVICE):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    watch = asyncio.create_task(servicer.watch(), name="stream watch")
    try:
        yield
    finally:
        watch.cancel()
        await healthy.enter_graceful_shutdown()
        await servicer.drain(grace_seconds)
        await server.stop(grace=0.5)


def _bind(
    stack: ExitStack, server: grpc.aio.Server, address: str, certificates: Certificates | None
) -> str:
    """Return host:port with the port that was bound; raises SettingError.

    gRPC says nothing about why it cannot bind, so our own sockets find that out, and the port, before it does.
    """
    for _ in range(ATTEMPTS):
        with bound_sockets(address, "grpc_address") as bound:
            targets = [each.getsockname()[:2] for each in bound.sockets]
        for host, port in targets:
            if host == IPV4_WILDCARD:
                stack.enter_context(_without_ipv6(port))
        if all(_add_port(server, join_address(*target), certificates) for target in targets):
            return bound.address
    raise SettingError(
        f"grpc_address is {address}, which gRPC cannot use: set grpc_address (--grpc-address) to another address or port"
    )


def _add_port(server: grpc.aio.Server, address: str, certificates: Certificates | None) -> bool:
    try:
        if certificates is None:
            return bool(server.add_insecure_port(address))
        return bool(server.add_secure_port(address, certificates.credentials()))
    except RuntimeError:
        return False


@contextmanager
def _without_ipv6(port: int) -> Iterator[None]:
    """Keep gRPC from listening on IPv6 as well, which it does for 0.0.0.0 where it can."""
    with ExitStack() as stack:
        with suppress(OSError):  # there is no IPv6, or another program has the port there
            held = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            held.bind(("::", port))
        yield


def _options(
    max_message_bytes: int, lookahead_bytes: int, limits: GrpcConnectionLimits
) -> list[tuple[str, int]]:
    """Return the channel options.

    No port sharing: a second bridge on the same port would bind silently. No bandwidth probing: it
    lets a stalled stream buffer 4 MiB. Pings are answered as often as our SDK sends them.
    """
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", lookahead_bytes),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.server_handshake_timeout_ms", round(limits.handshake_seconds * 1000)),
        ("grpc.max_connection_idle_ms", round(limits.idle_seconds * 1000)),
    ]
