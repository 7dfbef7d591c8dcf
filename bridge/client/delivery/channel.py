"""The gRPC channel to a bridge."""

import grpc

from bridge.client.settings import Destination
from bridge.wire import metrics_pb2 as wire

SERVICE = f"/{wire.DESCRIPTOR.services_by_name['MetricsService'].full_name}"

Metadata = tuple[tuple[str, str], ...]

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
    """Return a new channel, with TLS where the destination asks for it."""
    if not destination.secure:
        return grpc.insecure_channel(destination.target, OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        destination.root_certificates, destination.key, destination.certificate
    )
    return grpc.secure_channel(destination.target, credentials, OPTIONS)
