"""A shard that still grows."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from bridge.model import Image
from bridge.sinks.images.candidate import Offer
from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.layout import Spot, pack
from bridge.storage.shards import Shard, ShardBatch, ShardImage


@dataclass(slots=True)
class OpenShard:
    """A shard that grows: what is on disk, and what waits for the next flush."""

    shard_id: int
    session_id: str
    key: str
    path: Path
    epoch: int
    opened_at: float
    changed: float
    """When its last batch was received, in seconds since 1970."""
    identity: shard_file.Identity | None = None
    """Of the file, since it was made."""
    is_gone: bool = False
    """Somebody removed or replaced the file."""
    size_bytes: int = 0
    """What is on disk, and known to be whole."""
    end: int = 0
    """Where the next member goes, behind all that waits."""
    spots: list[Spot] = field(default_factory=list)
    repeats: dict[tuple[int, int], int] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    waiting: list[tuple[Offer, list[Spot]]] = field(default_factory=list)

    def add(self, offer: Offer) -> None:
        """Pack an offer, to be written with the next flush."""
        name = (offer.batch.epoch, offer.batch.index)
        repeat = self.repeats.get(name, 0)
        self.repeats[name] = repeat + 1
        pieces, spots = pack(offer, at=self.end, repeat=repeat)
        self.pieces += pieces
        self.waiting.append((offer, spots))
        self.end = spots[-1].end
        self.changed = offer.received

    def flush(self) -> list[tuple[Offer, ShardBatch]]:
        """Have all that waits on disk, and return it; on OSError none of it is in the file."""
        waiting, self.waiting = self.waiting, []
        pieces, self.pieces = self.pieces, []
        try:
            self.identity = shard_file.append(
                self.path, pieces, at=self.size_bytes, identity=self.identity
            )
        except OSError:
            self.end = self.size_bytes
            raise
        self.size_bytes = self.end
        for _, spots in waiting:
            self.spots += spots
        return [(offer, batch_of(self.shard_id, offer, spots)) for offer, spots in waiting]

    def close(self) -> None:
        """Write the index behind all that has been flushed; OSError: it may be tried again."""
        self.size_bytes = self.end = shard_file.close(
            self.path,
            self.spots,
            at=self.size_bytes,
            changed_seconds=self.changed,
            identity=self.identity,
        )

    def told(self, *, closed: bool = False) -> Shard:
        """Return what the index is told of it."""
        return Shard(self.shard_id, self.session_id, self.key, self.size_bytes, closed)


def batch_of(shard_id: int, offer: Offer, spots: list[Spot]) -> ShardBatch:
    """Return what the index is told of a batch whose images lie at `spots`."""
    batch = offer.batch
    return ShardBatch(
        shard_id,
        offer.session_id,
        batch.epoch,
        batch.index,
        offer.received_ms,
        batch.loss,
        tuple([_image(*pair) for pair in zip(batch.images, spots, strict=True)]),
    )


def _image(image: Image, spot: Spot) -> ShardImage:
    return ShardImage(
        image.index,
        spot.offset,
        spot.length,
        image.predicted_class,
        finite(image.confidence),
        image.true_class,
    )


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is no finite number, which neither SQL nor JSON knows."""
    return value if value is not None and math.isfinite(value) else None
