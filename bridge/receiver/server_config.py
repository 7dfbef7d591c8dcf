"""What clients learn when they register, and the limits they are held to."""

from dataclasses import dataclass, field

from bridge.receiver.message_limits import MessageLimits
from bridge.wire import metrics_pb2 as wire


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What clients learn when they register, and the limits they are held to."""

    limits: MessageLimits = field(default_factory=MessageLimits)
    heartbeat_seconds: float = 20.0
    buffer_bytes: int = 64 << 20
    flush_seconds: float = 0.2
    """How long our SDK collects for one frame; what comes after silence it sends at once."""
    max_message_bytes: int = 32 << 20
    image_batches_per_second: float = 2.0
    max_streams: int = 2_000
    max_streams_per_address: int = 1_000
    max_first_messages: int = 32
    """Clients that may be sending a message before they have shown that they registered."""
    first_message_seconds: float = 60.0
    """How long such a client may keep others waiting, and how long others wait."""
    unread_seconds: float = 60.0
    """How long a client may leave its responses unread."""
    reconnect_seconds: float = 1.0
    """How long a client waits before it reconnects, when this bridge stops or sends it on."""
    public_url: str = ""
    """What the addresses of pages begin with, for everybody; "": not known."""
    local_url: str = ""
    """The same for clients of this machine."""
    rebalance_seconds: float = 0.0
    """How long a session that began on another bridge stays, on average, before it is sent on; 0: for good."""

    def page_url(self, session_id: str, *, is_local: bool) -> str:
        """Return where the user of a client, of this machine or not, finds a session; "" where nobody has said so."""
        root = self.public_url or (self.local_url if is_local else "")
        return f"{root}/sessions/{session_id}" if root else ""

    def to_wire(self) -> wire.ServerConfig:
        """Return what a client learns when it registers."""
        return wire.ServerConfig(
            max_batch_size=self.limits.images_per_batch,
            max_image_dimension=self.limits.image_dimension,
            heartbeat_interval_ms=round(self.heartbeat_seconds * 1000),
            buffer_size=self.buffer_bytes,
            flush_interval_ms=round(self.flush_seconds * 1000),
            max_message_bytes=self.max_message_bytes,
            image_batches_per_second=self.image_batches_per_second,
        )
