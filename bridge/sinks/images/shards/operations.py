"""What the spool is to do with a commit, and what comes of it."""

from collections.abc import Collection
from dataclasses import dataclass, field

from bridge.model import ImageResult
from bridge.sinks.images.accounting import count_of
from bridge.sinks.images.candidate import ImageCandidate
from bridge.storage.database import Database
from bridge.storage.image_counts import add_counts
from bridge.storage.shard_rows import ShardRows
from bridge.storage.shards import (
    Shard,
    ShardBatch,
    adopt_shards,
    mark_rebuilt,
    mark_stored,
    put_batches,
    put_shards,
)
from bridge.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class CloseShard:
    """Close the shard of a session: its epoch or its attempt is over."""

    session_id: str


@dataclass(frozen=True, slots=True)
class LeaveShard:
    """Let go of the shard of a session that another bridge has; nothing of the session waits in the same commit."""

    session_id: str


@dataclass(frozen=True, slots=True)
class CloseDue:
    """Close the shards that are old enough."""


@dataclass(frozen=True, slots=True)
class CloseAll:
    """Close every shard: the bridge stops."""


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Make the folder of the spool, which is missing."""


@dataclass(frozen=True, slots=True)
class ShardStored:
    """Record that a shard is in the object store."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class ShardMissing:
    """Record that a shard is neither in the spool nor in the object store."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class AdoptShard:
    """Index a shard that was found in the object store."""

    key: str
    size_bytes: int
    batches: tuple[ShardBatch, ...]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class IndexRebuilt:
    """Record that every shard in the object store has been indexed."""


SpoolOp = (
    ImageCandidate
    | CloseShard
    | LeaveShard
    | CloseDue
    | CloseAll
    | MakeFolder
    | ShardStored
    | ShardMissing
    | AdoptShard
    | IndexRebuilt
)
"""One operation of the spool; a candidate is added to its session's shard."""


@dataclass(frozen=True, slots=True)
class FailedWrite:
    """A candidate that could not be written."""

    candidate: ImageCandidate
    reason: str


@dataclass(slots=True)
class SpoolResult:
    """What became of some operations: files are on disk already, the index is still to be written."""

    shards: dict[int, Shard] = field(default_factory=dict)
    batches: list[ShardBatch] = field(default_factory=list)
    kept: list[ImageCandidate] = field(default_factory=list)
    failed: list[FailedWrite] = field(default_factory=list)
    closed: list[Shard] = field(default_factory=list)
    left: list[Shard] = field(default_factory=list)
    """Of sessions that another bridge has; there may be more in the files than has been committed."""
    stored: list[Shard] = field(default_factory=list)
    unwanted: list[Shard] = field(default_factory=list)
    """Of those stored: another bridge has deleted their sessions meanwhile."""
    missing: list[Shard] = field(default_factory=list)
    missing_images: int = 0
    """Of the missing shards: they were committed, and are lost."""
    adopted: list[ShardBatch] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    """Bugs of our own, each of which cost one operation."""
    is_rebuilt: bool = False

    @property
    def sessions(self) -> set[str]:
        """The sessions that were written to."""
        names = {shard.session_id for shard in self.shards.values() if not shard.stored}
        return names | {failed.candidate.session_id for failed in self.failed}

    def write_index(
        self, transaction: Transaction, database: Database, moved: Collection[str] = ()
    ) -> None:
        """Write what has changed to the index, but for sessions that have `moved`: their bytes alone are in the files.

        What was found in the store, and what has reached it, is recorded whoever has the session.
        """
        grown = [one for one in self.shards.values() if not one.stored]
        put_shards(transaction, [one for one in grown if one.session_id not in moved])
        put_batches(transaction, [one for one in self.batches if one.session_id not in moved])
        found = [one for one in self.shards.values() if one.stored]
        adopt_shards(transaction, database, found, self.adopted)
        if self.is_rebuilt:
            mark_rebuilt(transaction, "store")
        counts = [count_of(kept, ImageResult.STORED) for kept in self.kept]
        counts += [count_of(failed.candidate, ImageResult.DROPPED) for failed in self.failed]
        add_counts(transaction, [count for count in counts if count.session_id not in moved])
        unknown = mark_stored(transaction, [shard.shard_id for shard in self.stored])
        if database.bridge_id:
            self.unwanted = [shard for shard in self.stored if shard.shard_id in unknown]
        rows = ShardRows(database, self.missing)
        self.missing_images = sum([rows.delete_shard(transaction, shard) for shard in self.missing])
