"""What the spool is asked to do with a commit, and what comes of it."""

from dataclasses import dataclass, field

from bridge.model import ImageResult
from bridge.sinks.images.accounting import counted
from bridge.sinks.images.candidate import Offer
from bridge.storage.database import Database, Transaction
from bridge.storage.image_counts import add_counts
from bridge.storage.shards import (
    Shard,
    ShardBatch,
    adopt_batches,
    forget_shard,
    mark_rebuilt,
    mark_stored,
    put_batches,
    put_shards,
)


@dataclass(frozen=True, slots=True)
class Close:
    """The shard of a session has all that it will get."""

    session_id: str


@dataclass(frozen=True, slots=True)
class CloseDue:
    """Shards that are old enough are to be closed."""


@dataclass(frozen=True, slots=True)
class CloseAll:
    """The bridge stops."""


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """The folder of the spool is missing."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A shard is in the object store."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class Gone:
    """A shard is neither in the spool nor in the object store."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class Adopt:
    """A shard was found in the object store that the index knows nothing of."""

    key: str
    size_bytes: int
    batches: tuple[ShardBatch, ...]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Every shard in the object store has been adopted."""


Step = Offer | Close | CloseDue | CloseAll | MakeFolder | Stored | Gone | Adopt | Rebuilt
"""What the spool is asked to do, in order."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An offer that could not be written."""

    offer: Offer
    reason: str


@dataclass(slots=True)
class Written:
    """What became of some steps: files are on disk already, the index is still to be told."""

    shards: dict[int, Shard] = field(default_factory=dict)
    batches: list[ShardBatch] = field(default_factory=list)
    kept: list[Offer] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    closed: list[Shard] = field(default_factory=list)
    stored: list[Shard] = field(default_factory=list)
    gone: list[Shard] = field(default_factory=list)
    gone_images: int = 0
    """Of the shards that are gone: they were committed, and are lost."""
    adopted: list[ShardBatch] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """Faults of our own, each of which cost one step."""
    is_rebuilt: bool = False

    def note(self, transaction: Transaction, database: Database) -> None:
        """Tell the index."""
        put_shards(transaction, self.shards.values())
        put_batches(transaction, self.batches)
        adopt_batches(transaction, database, self.adopted)
        if self.is_rebuilt:
            mark_rebuilt(transaction, "store")
        add_counts(transaction, [counted(offer, ImageResult.STORED) for offer in self.kept])
        add_counts(transaction, [counted(lost.offer, ImageResult.DROPPED) for lost in self.lost])
        mark_stored(transaction, [shard.shard_id for shard in self.stored])
        self.gone_images = sum([forget_shard(transaction, shard) for shard in self.gone])
