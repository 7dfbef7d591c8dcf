"""What a bridge asks of those who send to it."""

from dataclasses import dataclass

from bridge.protocol import MEBIBYTE
from bridge.wire import metrics_pb2 as wire


@dataclass(frozen=True, slots=True)
class Terms:
    """What applies until a bridge has said otherwise, and where it leaves something open."""

    images_per_batch: int = 16
    image_dimension: int = 1_024
    """Pixels a side."""
    heartbeat_seconds: float = 20.0
    window_bytes: int = 16 * MEBIBYTE
    """How much may be on its way unacknowledged."""
    flush_seconds: float = 0.05
    message_bytes: int = 4 * MEBIBYTE - 65_536
    """Of one frame; gRPC's own limit, less some room, where nothing is said."""
    image_batches_per_second: float = 2.0
    """0: no images are wanted."""
    are_told: bool = False
    """A bridge has said all this; before, it is only what may be assumed."""
    numbered: bool = False
    """Acknowledgments carry sequences; a bridge of the original protocol acknowledges batch by batch."""

    @classmethod
    def of(cls, config: wire.ServerConfig) -> "Terms":
        """Read what the bridge said; 0 means that it said nothing."""
        otherwise = cls()
        return cls(
            images_per_batch=config.max_batch_size or otherwise.images_per_batch,
            image_dimension=config.max_image_dimension or otherwise.image_dimension,
            heartbeat_seconds=config.heartbeat_interval_ms / 1000 or otherwise.heartbeat_seconds,
            window_bytes=config.buffer_size or otherwise.window_bytes,
            flush_seconds=config.flush_interval_ms / 1000 or otherwise.flush_seconds,
            message_bytes=config.max_message_bytes or otherwise.message_bytes,
            image_batches_per_second=(
                config.image_batches_per_second
                if config.HasField("image_batches_per_second")
                else otherwise.image_batches_per_second
            ),
            are_told=True,
            numbered=bool(config.flush_interval_ms or config.max_message_bytes),
        )
