"""A shard that is still growing."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from bridge.model import Image
from bridge.sinks.images.candidate import ImageCandidate
from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.layout import ImageExtent, pack
from bridge.storage.shards import Shard, ShardBatch, ShardImage


@dataclass(slots=True)
class OpenShard:
    """What of a shard is on disk, and what waits for the next flush."""

    shard_id: int
    session_id: str
    attempt: int
    key: str
    path: Path
    epoch: int
    opened_at: float
    changed_seconds: float
    """When its last batch was received, in seconds since 1970."""
    bridge_id: str = ""
    """Whose spool has it, where several bridges share the index."""
    identity: shard_file.Identity | None = None
    """Of the file, since it was made."""
    is_missing: bool = False
    """Somebody removed or replaced the file."""
    size_bytes: int = 0
    """What is on disk, and known to be whole."""
    end: int = 0
    """Where the next member goes, after all that waits."""
    extents: list[ImageExtent] = field(default_factory=list)
    repeats: dict[tuple[int, int], int] = field(default_factory=dict)
    buffers: list[bytes] = field(default_factory=list)
    pending: list[tuple[ImageCandidate, list[ImageExtent]]] = field(default_factory=list)

    def add(self, candidate: ImageCandidate) -> None:
        """Pack a candidate, to be written with the next flush."""
        name = (candidate.batch.epoch, candidate.batch.index)
        repeat = self.repeats.get(name, 0)
        self.repeats[name] = repeat + 1
        buffers, extents = pack(candidate, at=self.end, repeat=repeat)
        self.buffers += buffers
        self.pending.append((candidate, extents))
        self.end = extents[-1].end
        self.changed_seconds = candidate.received

    def flush(self) -> list[ShardBatch]:
        """Write all that waits to disk, and return its index rows; on OSError none of it is in the file."""
        pending, self.pending = self.pending, []
        buffers, self.buffers = self.buffers, []
        try:
            self.identity = shard_file.append(
                self.path, buffers, at=self.size_bytes, identity=self.identity
            )
        except OSError:
            self.end = self.size_bytes
            raise
        self.size_bytes = self.end
        for _, extents in pending:
            self.extents += extents
        return [batch_of(self.shard_id, candidate, extents) for candidate, extents in pending]

    def close(self) -> None:
        """Write the index after all that has been flushed; on OSError it may be tried again."""
        self.size_bytes = self.end = shard_file.close(
            self.path,
            self.extents,
            at=self.size_bytes,
            changed_seconds=self.changed_seconds,
            identity=self.identity,
        )

    def to_index_row(self, *, closed: bool = False) -> Shard:
        """Return its row in the index."""
        return Shard(
            *(self.shard_id, self.session_id, self.key, self.size_bytes),
            closed=closed,
            attempt=self.attempt,
            bridge_id=self.bridge_id,
        )


def batch_of(shard_id: int, candidate: ImageCandidate, extents: list[ImageExtent]) -> ShardBatch:
    """Return the index rows of a batch whose images lie at `extents`."""
    batch = candidate.batch
    return ShardBatch(
        shard_id,
        candidate.session_id,
        batch.epoch,
        batch.index,
        candidate.received_ms,
        batch.loss,
        tuple([_image(*pair) for pair in zip(batch.images, extents, strict=True)]),
        candidate.attempt,
    )


def _image(image: Image, extent: ImageExtent) -> ShardImage:
    return ShardImage(
        image.index,
        extent.offset,
        extent.length,
        image.predicted_class,
        finite(image.confidence),
        image.true_class,
    )


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is not finite, which neither SQL nor JSON can express."""
    return value if value is not None and math.isfinite(value) else None
