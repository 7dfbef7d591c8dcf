"""The gRPC channel to a bridge."""

import grpc

from bridge.client.settings import Destination
from bridge.wire import metrics_pb2 as wire

SERVICE = f"/{wire.DESCRIPTOR.services_by_name['MetricsService'].full_name}"

Metadata = tuple[tuple[str, str], ...]

SHUFFLED = '{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": true}}]}'
"""One connection, so that a session's calls reach one bridge, to any of the addresses that a name has."""

OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.use_local_subchannel_pool", 1),  # another session's failures must not slow this one
)


def open_channel(destination: Destination) -> grpc.Channel:
    """Return a new channel, with TLS and through a proxy where the destination asks for it."""
    options = (*OPTIONS, *_proxy_options(destination), *_spreading_options(destination))
    if not destination.secure:
        return grpc.insecure_channel(destination.target, options)
    credentials = grpc.ssl_channel_credentials(
        destination.root_certificates, destination.key, destination.certificate
    )
    return grpc.secure_channel(destination.target, credentials, options)


def _proxy_options(destination: Destination) -> tuple[tuple[str, str | int], ...]:
    """Return what makes gRPC use this proxy or none, whichever variables it would read by itself."""
    proxy = destination.proxy
    if proxy is None or not proxy.is_usable:
        return (("grpc.enable_http_proxy", 0),)
    return (("grpc.http_proxy", proxy.url),)


def _spreading_options(destination: Destination) -> tuple[tuple[str, str], ...]:
    """Return what makes sessions spread over the addresses of a name; this machine has one bridge on all."""
    return () if destination.is_local else (("grpc.service_config", SHUFFLED),)
