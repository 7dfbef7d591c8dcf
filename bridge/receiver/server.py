"""The gRPC server around the servicer: address, limits, health and reflection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bridge.errors import SettingError
from bridge.receiver.certificates import Certificates
from bridge.receiver.servicer import SERVICE, Servicer

KEEPALIVE_MS = 20_000


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A server that has its port."""

    server: grpc.aio.Server
    address: str
    """host:port, the port being the one bound."""


@asynccontextmanager
async def bind_server(
    address: str,
    *,
    max_message_bytes: int,
    lookahead_bytes: int,
    certificates: Certificates | None = None,
) -> AsyncIterator[GrpcServer]:
    """Hold an address while the block lasts; nothing is served yet. Without certificates it is plain text.

    Raises SettingError where the address cannot be bound, or the certificates cannot be used.
    """
    server = grpc.aio.server(options=_options(max_message_bytes, lookahead_bytes))
    try:
        port = _bind(server, address, certificates)
        yield GrpcServer(server, f"{address.rpartition(':')[0]}:{port}")
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
    try:
        yield
    finally:
        await healthy.enter_graceful_shutdown()
        await servicer.drain(grace_seconds)
        await server.stop(grace=0.5)


def _bind(server: grpc.aio.Server, address: str, certificates: Certificates | None) -> int:
    try:
        if certificates is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, certificates.credentials())
    except RuntimeError:
        port = 0
    if not port:
        raise SettingError(f"grpc_address: {address!r} cannot be bound; is another program there?")
    return port


def _options(max_message_bytes: int, lookahead_bytes: int) -> list[tuple[str, int]]:
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
    ]
