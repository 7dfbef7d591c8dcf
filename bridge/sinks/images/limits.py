"""How much the images of all sessions may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """How much images may take, and when a shard is closed."""

    spool_bytes: int = 10 << 30
    """Of images waiting for the object store."""
    memory_bytes: int = 64 << 20
    """Of JPEGs in memory, over all sessions: those in open windows, and those waiting for a commit."""
    shard_bytes: int = 16 << 20
    shard_seconds: float = 30.0


DEFAULT_LIMITS = ImageLimits()
