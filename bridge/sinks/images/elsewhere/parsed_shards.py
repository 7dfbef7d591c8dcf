"""Turn the indexes of shards into rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.sinks.images.shards.tails import Tail
from bridge.storage.index_cache import StoredShard
from bridge.storage.objects import StoredObject


@dataclass(slots=True)
class ParsedShards:
    """What some shards of a session say."""

    rows: list[StoredShard] = field(default_factory=list)
    labels: dict[int, str] = field(default_factory=dict)
    """The names of classes; where shards differ, the first one counts."""
    unreadable: int = 0
    """Objects that are no shards; they have a row as well, so that they are not read again while the store has them."""
    damaged: int = 0
    """Lines of indexes."""

    @property
    def images(self) -> int:
        """How many images they have."""
        return sum(len(batch.images) for row in self.rows for batch in row.batches)


def parsed_shards(
    session_id: str, found: Iterable[tuple[StoredObject, Tail | None]]
) -> ParsedShards:
    """Return what shards say, given the tail of each; takes the processor for about 14 microseconds an image."""
    parsed = ParsedShards()
    for shard, tail in found:
        index = None if tail is None else tail.parsed()
        if index is None:
            parsed.unreadable += 1
            parsed.rows.append(StoredShard(session_id, shard.key, shard.size_bytes))
            continue
        parsed.damaged += index.damaged
        parsed.labels = {**index.labels, **parsed.labels}
        parsed.rows.append(
            StoredShard(session_id, shard.key, shard.size_bytes, index.batches, index.attempt)
        )
    return parsed
