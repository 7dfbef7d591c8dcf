"""How a bridge is called: the channel, and the metadata of its calls."""

import grpc

from bridge.client.identity import Identity
from bridge.client.settings import Destination
from bridge.wire import metrics_pb2 as wire

SERVICE = f"/{wire.DESCRIPTOR.services_by_name['MetricsService'].full_name}"

SESSION_HEADER = "trainbridge-session"
STARTED_HEADER = "trainbridge-started-ms"
"""When the process began this session, by its own clock, since 1970."""
LEFT_OVER_HEADER = "trainbridge-left-over"
"""Sent, as 1, by those who deliver what a process has left: that is no new attempt."""
TOKEN_HEADER = "trainbridge-stream-token"  # noqa: S105 -- the name of the metadata, no secret

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
    """Return a channel, with TLS where that is asked for."""
    if not destination.secure:
        return grpc.insecure_channel(destination.target, OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        destination.authority, destination.key, destination.certificate
    )
    return grpc.secure_channel(destination.target, credentials, OPTIONS)


def attempt_metadata(identity: Identity) -> tuple[tuple[str, str], ...]:
    """Return what tells a bridge which attempt of a session comes after which."""
    headers = {
        STARTED_HEADER: str(identity.started_ms or ""),
        LEFT_OVER_HEADER: "1" if identity.is_left_over else "",
    }
    return tuple((key, value) for key, value in headers.items() if value)
