"""What clients may take, and how much is kept, from the settings."""

import math

from bridge.command_bounds import LARGEST_BATCH_SIZE, CommandBounds
from bridge.config import Settings
from bridge.protocol import COMMAND_WORDS
from bridge.receiver.server import GrpcConnectionLimits
from bridge.retention import RetentionLimits
from bridge.web import AlertBounds, HttpConnectionLimits, TileLimits


def grpc_connection_limits(settings: Settings) -> GrpcConnectionLimits:
    """Return what gRPC clients may take before they open a stream."""
    return GrpcConnectionLimits(
        connections=settings.grpc_max_connections,
        handshake_seconds=settings.grpc_handshake_seconds,
        idle_seconds=settings.grpc_idle_seconds,
    )


def http_connection_limits(settings: Settings) -> HttpConnectionLimits:
    """Return what HTTP clients may take."""
    return HttpConnectionLimits(
        connections=settings.http_max_connections,
        connections_per_address=settings.http_max_connections_per_address,
        request_seconds=settings.http_request_seconds,
        idle_seconds=settings.http_idle_seconds,
        metrics_pages=settings.max_metrics_pages,
    )


def tile_limits(settings: Settings) -> TileLimits:
    """Return what decoding an image for a contact sheet may cost."""
    return TileLimits(
        seconds=settings.images_decode_seconds,
        memory_bytes=settings.images_decode_memory_bytes,
        pixels=settings.images_decode_pixels,
    )


def retention_limits(settings: Settings) -> RetentionLimits:
    """Return how long sessions are kept, and how many; their images go too where they are in a folder."""
    return RetentionLimits(
        days=settings.sessions_keep_days,
        sessions=settings.sessions_keep,
        attempts=settings.sessions_keep_attempts,
        with_images=not (settings.images_store or "").startswith("s3:"),
    )


def command_bounds(settings: Settings) -> CommandBounds:
    """Return what commands may set, whoever sends them."""
    return CommandBounds(
        min_learning_rate=settings.command_min_learning_rate or 0.0,
        max_learning_rate=settings.command_max_learning_rate or math.inf,
        max_batch_size=settings.command_max_batch_size or LARGEST_BATCH_SIZE,
        timeout_seconds=settings.command_timeout_seconds,
    )


def alert_bounds(settings: Settings) -> AlertBounds:
    """Return what alerts may do to training loops."""
    low, high = settings.alert_min_learning_rate, settings.alert_max_learning_rate
    words = (settings.alert_commands or "").split()
    return AlertBounds(
        types=frozenset(COMMAND_WORDS[word] for word in words),
        per_hour=settings.alert_commands_per_hour,
        learning_rates=None if low is None or high is None else (low, high),
    )
