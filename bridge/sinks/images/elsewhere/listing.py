"""Which shards of a session the object store has, and which of them are still to be read."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bridge.storage.deletions import Deletion, ImageScope
from bridge.storage.objects import KEY, ObjectStore, StoredObject
from bridge.storage.shard_keys import parse_key

SHARDS_LIMIT = 50_000
"""The newest shards of a session that are looked at: more than two weeks of one that closes one every half minute."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The shards of a session in the store."""

    shards: tuple[StoredObject, ...]
    """The newest first."""
    left_out: int = 0
    """Older ones."""

    @property
    def keys(self) -> frozenset[str]:
        """Their keys."""
        return frozenset(found.key for found in self.shards)

    def without(self, keys: Collection[str]) -> "Listing":
        """Return the listing without some shards."""
        left = tuple(found for found in self.shards if found.key not in keys)
        return Listing(left, self.left_out)


def list_shards(store: ObjectStore, session_id: str, deletions: Sequence[Deletion] = ()) -> Listing:
    """Return the shards of a session whose name is valid, but for those about to go; blocks, and raises StorageError.

    The prefix of a tenant belongs before the name here, and nowhere else.
    """
    going = [one for one in deletions if one.images is not ImageScope.NONE]
    newest: deque[StoredObject] = deque(maxlen=SHARDS_LIMIT)
    count = 0
    for found in store.list(f"{session_id}/"):
        key = parse_key(found.key) if KEY.fullmatch(found.key) else None
        if key is None or key.session_id != session_id:
            continue
        if not any(one.covers(found.key) for one in going):
            newest.append(found)
            count += 1
    shards = sorted(newest, key=lambda found: _first_ms(found.key), reverse=True)
    return Listing(tuple(shards), count - len(newest))


def _first_ms(key: str) -> int:
    parsed = parse_key(key)
    return 0 if parsed is None else parsed.first_ms
