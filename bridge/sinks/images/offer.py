"""A batch's images on their way to the store, and the count of what becomes of them."""

from dataclasses import dataclass, field

from bridge.model import Batch


@dataclass(slots=True)
class Tally:
    """What has become of the images of one session attempt."""

    kept: int = 0
    """In a shard, and committed."""
    dropped: int = 0
    """Refused, or lost for want of room."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The images of one batch, offered to the sampler."""

    session_id: str
    batch: Batch
    received: float
    """Seconds since 1970, by the clock of this bridge."""
    class_names: tuple[str, ...] = ()
    starts_epoch: bool = False
    """The first batch with images of its epoch: kept for as long as there is any room."""
    tally: Tally = field(default_factory=Tally)

    @property
    def received_ms(self) -> int:
        """When it was received, in milliseconds since 1970."""
        return int(self.received * 1000)

    @property
    def size_bytes(self) -> int:
        """How much room the JPEGs take."""
        return sum([len(image.jpeg) for image in self.batch.images])
