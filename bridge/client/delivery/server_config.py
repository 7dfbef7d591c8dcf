"""What the bridge asks of its clients."""

from dataclasses import dataclass

from bridge.protocol import MEBIBYTE
from bridge.wire import metrics_pb2 as wire


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A bridge's settings for its clients; the defaults apply to what a bridge leaves open, and before it answers."""

    images_per_batch: int = 16
    image_dimension: int = 1_024
    """Longest side of an image, in pixels."""
    heartbeat_seconds: float = 20.0
    window_bytes: int = 16 * MEBIBYTE
    """The most that may be in flight unacknowledged."""
    flush_seconds: float = 0.05
    message_bytes: int = 4 * MEBIBYTE - 65_536
    """The longest frame; by default gRPC's own limit, less some headroom."""
    image_batches_per_second: float = 2.0
    """0: no images are wanted."""
    is_received: bool = False
    """A bridge has sent this; until then it is only an assumption."""
    uses_sequences: bool = False
    """Acknowledgments carry sequences; a bridge of the original protocol acknowledges batch by batch."""

    @classmethod
    def from_wire(cls, config: wire.ServerConfig) -> "ServerConfig":
        """Read a bridge's answer; 0 means that it leaves a setting open."""
        default = cls()
        return cls(
            images_per_batch=config.max_batch_size or default.images_per_batch,
            image_dimension=config.max_image_dimension or default.image_dimension,
            heartbeat_seconds=config.heartbeat_interval_ms / 1000 or default.heartbeat_seconds,
            window_bytes=config.buffer_size or default.window_bytes,
            flush_seconds=config.flush_interval_ms / 1000 or default.flush_seconds,
            message_bytes=config.max_message_bytes or default.message_bytes,
            image_batches_per_second=(
                config.image_batches_per_second
                if config.HasField("image_batches_per_second")
                else default.image_batches_per_second
            ),
            is_received=True,
            uses_sequences=bool(config.flush_interval_ms or config.max_message_bytes),
        )
