"""What a bridge that is gone had alone is given up once, by whichever bridge comes first, and found again if it is back."""

import threading
from contextlib import ExitStack

import pytest
from sqlalchemy import bindparam, update
from support.shared_database import opened

from bridge.model import ImageResult
from bridge.storage.image_counts import ImageCount, add_counts, counts_of
from bridge.storage.index import ImageIndex
from bridge.storage.lost_shards import LostShards, lost_totals, mark_lost
from bridge.storage.rebuild_claim import claim_rebuild
from bridge.storage.schema import BRIDGES
from bridge.storage.shards import (
    Shard,
    ShardBatch,
    ShardImage,
    last_shard_id,
    mark_rebuilt,
    mark_stored,
    put_batches,
    put_shards,
    shards_of_session,
    unstored,
    unstored_shards,
)
from bridge.storage.statements import Statement

NOON_MS = 1_700_000_000_000

SEEN_LONG_AGO = Statement(
    update(BRIDGES)
    .values(seen_ms=BRIDGES.c.seen_ms - 3_600_000)
    .where(BRIDGES.c.bridge_id == bindparam("bridge"))
)


@pytest.fixture
def bridges(postgres_url):
    """Return the database as each of three bridges has it."""
    with ExitStack() as stack:
        yield [stack.enter_context(opened(postgres_url, name)) for name in "abc"]


def silent(database):
    """Let the last sign of life of a bridge be an hour old."""
    with database.transaction() as transaction:
        transaction.execute(SEEN_LONG_AGO, {"bridge": database.bridge_id})


def spooled(database, session_id="run", *, attempt=1, batches=2, first=0, stored=False):
    """Index a shard in the spool of a bridge, with two images a batch; return it."""
    shard = Shard(
        last_shard_id(database) + 1,
        session_id,
        f"{session_id}/{database.bridge_id}-{attempt}-{first}.tar",
        4096,
        stored=stored,
        attempt=attempt,
        bridge_id=database.bridge_id,
    )
    images = tuple(ShardImage(n, 512 * (n + 1), 100, None, None, None) for n in range(2))
    with database.transaction() as transaction:
        put_shards(transaction, [shard])
        put_batches(
            transaction,
            [
                ShardBatch(shard.shard_id, session_id, 1, n, NOON_MS + n, 0.5, images, attempt)
                for n in range(first, first + batches)
            ],
        )
        stored_count = ImageCount(session_id, attempt, ImageResult.STORED, 2 * batches, NOON_MS)
        add_counts(transaction, [stored_count])
    return shard


def counted(database, session_id="run", attempt=1):
    """Return what has been counted of a session's images."""
    return {count.result: count.images for count in counts_of(database, session_id, attempt).counts}


def test_shards_are_those_of_one_bridge(bridges):
    """Ids of two bridges never meet, and each finds what lies in its own spool."""
    first, second, _ = bridges
    one, other = spooled(first), spooled(second, first=5)
    assert one.shard_id != other.shard_id
    assert spooled(first, first=9).shard_id == one.shard_id + 1
    assert [shard.bridge_id for shard in unstored_shards(first)] == ["a", "a"]
    assert (unstored(second).shards, unstored(second).images) == (1, 4)
    [image, _] = ImageIndex(first).images("run", 1, 5)
    assert (image.location.bridge_id, image.location.lost) == ("b", False)


def test_images_that_only_a_gone_bridge_had_are_lost(bridges):
    """They stay in the index with a mark; what had reached the store, and what others have, is as it was."""
    gone, living, _ = bridges
    spooled(gone)
    spooled(gone, attempt=2, batches=3)
    spooled(gone, first=10, stored=True)
    spooled(living, first=20)
    silent(gone)
    found = list(mark_lost(living, silent_seconds=600))

    assert found == [LostShards("a", "run", 2, 10)]
    assert counted(living) == {ImageResult.STORED: 12, ImageResult.LOST: 4}
    assert counted(living, attempt=2) == {ImageResult.STORED: 6, ImageResult.LOST: 6}
    lost = {
        batch: ImageIndex(living).images("run", 1, batch, attempt=1)[0].location.lost
        for batch in (0, 10, 20)
    }
    assert lost == {0: True, 10: False, 20: False}
    assert lost_totals(living, {"run"}) == [
        ImageCount("run", 1, ImageResult.LOST, 4, NOON_MS + 1),
        ImageCount("run", 2, ImageResult.LOST, 6, NOON_MS + 2),
    ]
    assert lost_totals(living, {"other"}) == []


def test_a_bridge_that_lives_loses_nothing(bridges):
    """Nor one that was away for a moment, nor the one that looks."""
    first, second, _ = bridges
    spooled(first)
    spooled(second, first=5)
    silent(second)
    assert list(mark_lost(second, silent_seconds=600)) == []
    assert list(mark_lost(first, silent_seconds=36_000)) == []
    assert counted(first) == {ImageResult.STORED: 8}


def test_each_image_is_counted_once(bridges):
    """However many bridges look at the same moment, and however often."""
    gone, *living = bridges
    for number in range(20):
        spooled(gone, f"run-{number}")
    silent(gone)
    found = []
    threads = [
        threading.Thread(target=lambda one=one: found.extend(mark_lost(one, silent_seconds=600)))
        for one in living
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in living:
        found += mark_lost(one, silent_seconds=600)

    assert sorted(one.session_id for one in found) == sorted(f"run-{n}" for n in range(20))
    assert all(counted(gone, f"run-{n}")[ImageResult.LOST] == 4 for n in range(20))


def test_a_bridge_that_comes_back_brings_its_images(bridges, postgres_url):
    """Its start finds them; once they are in the store the mark is gone. The count stays."""
    gone, living, _ = bridges
    shard = spooled(gone)
    silent(gone)
    list(mark_lost(living, silent_seconds=600))
    with opened(postgres_url, "a") as back:
        [found] = unstored_shards(back)
        assert (found.shard_id, found.lost) == (shard.shard_id, True)
        with back.transaction() as transaction:
            assert mark_stored(transaction, [found.shard_id, 999]) == [999]
    [now] = shards_of_session(living, "run")
    assert (now.stored, now.lost) == (True, False)
    assert ImageIndex(living).images("run", 1, 0)[0].location.stored
    assert counted(living)[ImageResult.LOST] == 4


def test_one_bridge_reads_the_index_of_the_store(bridges):
    """The first that asks; another one takes over where that is dead; nobody does once it is done."""
    first, second, third = bridges
    assert claim_rebuild(first)
    assert claim_rebuild(first)
    assert not claim_rebuild(second)
    silent(first)
    assert claim_rebuild(second)
    assert not claim_rebuild(third)
    with second.transaction() as transaction:
        mark_rebuilt(transaction, "store")
    assert not claim_rebuild(second)
    assert not claim_rebuild(third)


def test_of_many_that_start_together_one_claims_it(bridges):
    """At the same moment."""
    found = []
    threads = [
        threading.Thread(target=lambda one=one: found.append(claim_rebuild(one))) for one in bridges
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False, False, True]
