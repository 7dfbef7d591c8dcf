"""The rows of many shards are found together, however long the index is."""

import pytest

from bridge.storage.index import ImageIndex
from bridge.storage.shard_rows import SHARDS_PER_PASS, ShardRows
from bridge.storage.shards import (
    Shard,
    ShardBatch,
    ShardImage,
    put_batches,
    put_shards,
    unstored_shards,
)

SHARDS = 2 * SHARDS_PER_PASS
IMAGES = 3


@pytest.fixture(autouse=True)
def _indexed(database):
    """Index two sessions, whose shards have three images each."""
    shards = [
        Shard(number, f"run-{number % 2}", f"{number}.tar", 100, bridge_id=database.bridge_id)
        for number in range(1, SHARDS + 1)
    ]
    with database.transaction() as transaction:
        put_shards(transaction, shards)
        put_batches(transaction, [batch_of(shard) for shard in shards])


def batch_of(shard):
    """Return the batch of a shard, whose images lie 10 bytes apart."""
    images = tuple(ShardImage(place, place * 10, 9, 1, 0.5, 1) for place in range(IMAGES))
    return ShardBatch(shard.shard_id, shard.session_id, 1, shard.shard_id, 1_000, 0.5, images)


def test_the_index_is_walked_once_for_many_shards(database, monkeypatch):
    """As many passes as there are groups of shards, not one for each: a start waits for them."""
    shards = unstored_shards(database)
    rows = ShardRows(database, shards)
    passes = []
    query = database.query
    monkeypatch.setattr(database, "query", lambda *call: passes.append(call) or query(*call))

    with database.transaction() as transaction:
        lost = sum(rows.delete_except(transaction, shard, (0, 10)) for shard in shards)

    assert lost == SHARDS
    assert len(passes) == SHARDS / SHARDS_PER_PASS
    index = ImageIndex(database)
    assert all(batch.images == IMAGES - 1 for batch in index.page("run-0", limit=SHARDS))


def test_what_another_shard_has_by_now_stays(database):
    """A batch that was sent again lies in a newer shard; the old one takes nothing of it along."""
    old = unstored_shards(database)[0]
    rows = ShardRows(database, [old])
    with database.transaction() as transaction:
        put_shards(transaction, [Shard(999, old.session_id, "999.tar", 100)])
        newer = batch_of(Shard(999, old.session_id, "999.tar", 100))
        put_batches(transaction, [ShardBatch(999, old.session_id, 1, 1, 2_000, 0.5, newer.images)])

    with database.transaction() as transaction:
        lost = rows.delete_shard(transaction, old)

    assert lost == 0
    assert ImageIndex(database).batch(old.session_id, 1, 1).images == IMAGES
