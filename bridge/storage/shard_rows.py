"""Finds and deletes the rows of shards in the image index, which is not sorted by shard.

One pass over the images of a session takes as long for one shard as for many, so many are looked up at once.
"""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bridge.storage.database import Database
from bridge.storage.shards import Shard
from bridge.storage.transaction import Transaction

SHARDS_PER_PASS = 64
"""Their rows are in memory at the same time: a few thousand of a shard."""

ROWS = (
    "SELECT shard_id, session_id, attempt, epoch, batch, position, offset FROM images"
    " WHERE session_id IN (SELECT value FROM json_each(?))"
    " AND shard_id IN (SELECT value FROM json_each(?))"
)
DELETE_IMAGE = (
    "DELETE FROM images WHERE session_id = ? AND attempt = ? AND epoch = ? AND batch = ?"
    " AND position = ? AND shard_id = ?"
)
RECOUNT_BATCH = (
    "UPDATE batches SET images = (SELECT count(*) FROM images WHERE"
    " images.session_id = batches.session_id AND images.attempt = batches.attempt"
    " AND images.epoch = batches.epoch AND images.batch = batches.batch)"
    " WHERE session_id = ? AND attempt = ? AND epoch = ? AND batch = ?"
)
DELETE_IF_EMPTY = (
    "DELETE FROM batches WHERE session_id = ? AND attempt = ? AND epoch = ? AND batch = ?"
    " AND images = 0"
)


class ShardRow(NamedTuple):
    """Where the index has an image of a shard, and where in the shard it lies."""

    batch: tuple[str, int, int, int]
    """Session, attempt, epoch and batch."""
    position: int
    offset: int


class ShardRows:
    """The rows of some shards, as they were committed before this transaction."""

    def __init__(self, database: Database, shards: Sequence[Shard]) -> None:
        """Look nothing up yet: `shards` are those that may be asked for, in that order."""
        self._database = database
        self._shards = {shard.shard_id: shard for shard in shards}
        self._found: dict[int, list[ShardRow]] = {}

    def delete_except(
        self, transaction: Transaction, shard: Shard, offsets: Iterable[int] = ()
    ) -> int:
        """Delete the images of a shard that do not lie at one of these offsets, and return how many they were.

        Batches that are left without images are deleted too.
        """
        kept = set(offsets)
        rows = [row for row in self._rows(shard) if row.offset not in kept]
        deleted = sum(
            transaction.execute(DELETE_IMAGE, (*row.batch, row.position, shard.shard_id)).rowcount
            for row in rows
        )
        batches = list({row.batch: None for row in rows})
        transaction.executemany(RECOUNT_BATCH, batches)
        transaction.executemany(DELETE_IF_EMPTY, batches)
        return deleted

    def delete_shard(self, transaction: Transaction, shard: Shard) -> int:
        """Delete a shard that is lost, and return how many images went with it."""
        deleted = self.delete_except(transaction, shard)
        transaction.execute("DELETE FROM shards WHERE shard_id = ?", (shard.shard_id,))
        return deleted

    def _rows(self, shard: Shard) -> list[ShardRow]:
        if shard.shard_id not in self._found:
            self._look_up(shard)
        return self._found[shard.shard_id]

    def _look_up(self, shard: Shard) -> None:
        """Find the rows of a shard, and of those that come after it."""
        self._shards[shard.shard_id] = shard
        ids = list(self._shards)
        start = ids.index(shard.shard_id)
        chosen = [self._shards[each] for each in ids[start : start + SHARDS_PER_PASS]]
        self._found = {each.shard_id: [] for each in chosen}
        sessions = {each.session_id for each in chosen if isinstance(each.session_id, str)}
        parameters = (json.dumps(sorted(sessions)), json.dumps(list(self._found)))
        found = self._database.query(ROWS, parameters)
        for shard_id, *batch, position, offset in found:
            self._found[shard_id].append(ShardRow(tuple(batch), position, offset))
