"""What a bridge says, and what is assumed where it says nothing."""

import math

import pytest

from bridge.client.delivery.server_config import ServerConfig
from bridge.wire import metrics_pb2 as wire


def test_nothing_said_is_what_was_assumed():
    """An empty answer changes nothing, except that the bridge has spoken."""
    config = ServerConfig.from_wire(wire.ServerConfig())

    assert config.is_received
    assert not ServerConfig().is_received
    assert (config.images_per_batch, config.heartbeat_seconds) == (16, 20.0)
    assert config.message_bytes < 4 << 20, "gRPC's own limit must not be reached"


def test_everything_said_is_heard():
    """Every number arrives in the SDK's own units."""
    config = ServerConfig.from_wire(
        wire.ServerConfig(
            max_batch_size=8,
            max_image_dimension=256,
            heartbeat_interval_ms=1_500,
            buffer_size=1 << 20,
            flush_interval_ms=20,
            max_message_bytes=2 << 20,
            image_batches_per_second=0.5,
        )
    )

    assert config == ServerConfig(
        images_per_batch=8,
        image_dimension=256,
        heartbeat_seconds=1.5,
        window_bytes=1 << 20,
        flush_seconds=0.02,
        message_bytes=2 << 20,
        image_batches_per_second=0.5,
        is_received=True,
        uses_sequences=True,
    )


@pytest.mark.parametrize("rate", [0.0, math.inf])
def test_no_images_is_something_else_than_nothing_said(rate):
    """0 means that no images are wanted; only a rate left out is assumed."""
    assert (
        ServerConfig.from_wire(
            wire.ServerConfig(image_batches_per_second=rate)
        ).image_batches_per_second
        == rate
    )
    assert ServerConfig.from_wire(wire.ServerConfig()).image_batches_per_second > 0


def test_an_original_bridge_is_recognised():
    """One that says none of the additions acknowledges without sequences."""
    original = wire.ServerConfig(
        max_batch_size=16,
        max_image_dimension=1024,
        heartbeat_interval_ms=30_000,
        buffer_size=1000,
    )

    assert not ServerConfig.from_wire(original).uses_sequences
