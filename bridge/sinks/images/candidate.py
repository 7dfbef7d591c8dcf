"""The images of one batch, from the sampler to the shard."""

from dataclasses import astuple, dataclass, field
from typing import Any

from bridge.model import Batch, Image

LAST_MS = 2**53
"""Later times are no longer exact."""


@dataclass(slots=True)
class ImageCounts:
    """What has become of the images of one session attempt."""

    attempt: int = 1
    stored: int = 0
    """In a shard, and committed."""
    dropped: int = 0
    """Refused, or lost for want of room."""
    lost: int = 0
    """Of those stored: gone with another bridge."""
    has_moved: bool = False
    """Another bridge counts from here on; what a commit still says here is not this bridge's to report."""


@dataclass(frozen=True, slots=True)
class ImageCandidate:
    """The images of one batch, which the sampler may choose."""

    session_id: str
    batch: Batch
    received: float
    """Seconds since 1970, by the clock of this bridge."""
    class_names: tuple[str, ...] = ()
    starts_epoch: bool = False
    """The first batch with images of its epoch: kept as long as there is any room."""
    counts: ImageCounts = field(default_factory=ImageCounts)

    @property
    def attempt(self) -> int:
        """The attempt of its session."""
        return self.counts.attempt

    @property
    def received_ms(self) -> int:
        """When it was received, in milliseconds since 1970."""
        return int(self.received * 1000)

    @property
    def size_bytes(self) -> int:
        """How much room the JPEGs take."""
        return sum([len(image.jpeg) for image in self.batch.images])

    def snapshot(self) -> tuple[Any, ...]:
        """Return what `restored` takes: plain values, JPEGs included."""
        batch = self.batch
        return (
            self.session_id,
            self.attempt,
            self.received,
            self.starts_epoch,
            self.class_names,
            (batch.epoch, batch.index, batch.loss, batch.sent_ms),
            [astuple(image) for image in batch.images],
        )

    @classmethod
    def restored(cls, state: Any, counts: ImageCounts) -> "ImageCandidate":
        """Return the candidate of a snapshot; its batch has only what shards hold.

        Raises TypeError or ValueError for what no bridge has written.
        """
        session_id, attempt, received, starts_epoch, class_names, fields, images = state
        epoch, index, loss, sent_ms = fields
        _check(str, session_id, *class_names)
        _check(int, attempt, epoch, index, sent_ms, *(image[0] for image in images))
        _check(float, received, 0.0 if loss is None else loss)
        _check(bytes, *(image[1] for image in images))
        if not 0 <= received * 1000 < LAST_MS:
            raise ValueError("a time of receipt that no clock has shown")
        batch = Batch(epoch, index, loss, tuple(Image(*image) for image in images), sent_ms=sent_ms)
        return cls(session_id, batch, received, tuple(class_names), starts_epoch, counts)


def _check(kind: type, *values: object) -> None:
    for value in values:
        if type(value) is not kind:
            raise TypeError(f"{type(value).__name__} where {kind.__name__} belongs")
