"""The rows of shards say where each is, also where several bridges share the index."""

import pytest
from support.shared_database import opened

from bridge.storage.index import ImageIndex
from bridge.storage.schema import SHARDS
from bridge.storage.shards import (
    SHARD_IDS,
    Shard,
    ShardBatch,
    ShardImage,
    Unstored,
    adopt_shards,
    is_rebuilt,
    last_shard_id,
    mark_rebuilt,
    mark_stored,
    own_spool,
    put_batches,
    put_shards,
    shard_of,
    unstored,
    unstored_shards,
)
from bridge.storage.statements import Statement

MARK_LOST = Statement(SHARDS.update().values(stored=2))


@pytest.fixture
def bridges(postgres_url):
    """Yield the same database as two bridges have it."""
    with opened(postgres_url, "a") as one, opened(postgres_url, "b") as other:
        yield one, other


def a_shard(database, key, **states):
    """Return the next shard of the bridge that has opened a database."""
    number = last_shard_id(database) + 1
    return Shard(number, "run", key, 4096, bridge_id=database.bridge_id, **states)


def batch_of(shard, number=1, *, at=1000):
    """Return a batch of two images in a shard."""
    images = tuple(ShardImage(place, 512 * place, 300, 1, 0.5, 1) for place in range(2))
    return ShardBatch(shard.shard_id, shard.session_id, 1, number, at, 0.5, images)


def put(database, shard, *batches):
    """Commit a shard with its batches."""
    with database.transaction() as transaction:
        put_shards(transaction, [shard])
        put_batches(transaction, batches)


def test_a_shard_comes_back_as_it_was_put(database):
    """All that is known of it, and what it has grown to."""
    shard = a_shard(database, "run/1.tar", attempt=3)
    put(database, shard)
    grown = Shard(
        *(shard.shard_id, "run", "run/1.tar", 9000, True), attempt=3, bridge_id=shard.bridge_id
    )
    put(database, grown)

    assert shard_of(database, "run/1.tar") == grown
    assert shard_of(database, "run/2.tar") is None
    assert last_shard_id(database) == shard.shard_id


def test_what_is_found_in_the_store_is_taken_in_once(database):
    """A shard whose key is known by now changes nothing, and its images are not indexed twice."""
    known = a_shard(database, "run/1.tar", stored=True)
    put(database, known, batch_of(known))
    again = a_shard(database, "run/1.tar", stored=True)
    new = Shard(again.shard_id + 1, "run", "run/2.tar", 4096, True, True)

    with database.transaction() as transaction:
        found = [batch_of(again, at=2000), batch_of(new, 2)]
        adopt_shards(transaction, database, [again, new], found)

    index = ImageIndex(database)
    assert index.batch("run", 1, 1).received_ms == 1000
    assert [image.location.key for image in index.images("run", 1, 2)] == ["run/2.tar"] * 2
    assert shard_of(database, "run/1.tar") == known


def test_a_place_is_rebuilt_once_marked(database):
    """Marking it twice changes nothing."""
    before = is_rebuilt(database, "store")
    for _ in range(2):
        with database.transaction() as transaction:
            mark_rebuilt(transaction, "store")

    assert (before, is_rebuilt(database, "store")) == (False, True)
    assert not is_rebuilt(database, own_spool(database))


def test_each_bridge_numbers_its_own_shards(bridges):
    """No two bridges give out the same id, whatever the other has given out."""
    one, other = bridges
    first = [last_shard_id(database) for database in bridges]
    for number in range(3):
        put(one, a_shard(one, f"run/a{number}.tar"))

    assert first == [database.number * SHARD_IDS for database in bridges]
    assert last_shard_id(one) == first[0] + 3
    assert last_shard_id(other) == first[1]


def test_a_bridge_waits_for_its_own_shards_only(bridges):
    """Those of another bridge lie in that one's spool; whoever asks for an image learns in whose."""
    one, other = bridges
    mine, theirs = a_shard(one, "run/a.tar"), a_shard(other, "run/b.tar")
    put(one, mine, batch_of(mine, 1))
    put(other, theirs, batch_of(theirs, 2))

    assert unstored_shards(one) == [mine]
    assert unstored(one) == unstored(other) == Unstored(1, 2)
    [place, _] = [image.location for image in ImageIndex(one).images("run", 1, 2)]
    assert (place.key, place.stored, place.bridge_id) == ("run/b.tar", False, "b")


def test_each_bridge_has_a_spool_of_its_own(bridges):
    """A new database has not seen any of them, and one that was read says nothing of the others."""
    one, other = bridges
    with one.transaction() as transaction:
        mark_rebuilt(transaction, own_spool(one))

    assert is_rebuilt(one, own_spool(one))
    assert not is_rebuilt(other, own_spool(other))


def test_a_lost_shard_may_come_back(bridges):
    """Its images say that they are lost; a bridge that returns with its spool takes the mark away."""
    one, other = bridges
    shard = a_shard(one, "run/a.tar")
    put(one, shard, batch_of(shard))
    with other.transaction() as transaction:
        transaction.execute(MARK_LOST)
    [lost] = unstored_shards(one)
    marked = ImageIndex(other).images("run", 1, 1)[0].location

    put(one, Shard(shard.shard_id, "run", "run/a.tar", 5000, closed=True, bridge_id="a"))
    with one.transaction() as transaction:
        mark_stored(transaction, [shard.shard_id])
    back = ImageIndex(other).images("run", 1, 1)[0].location

    assert (lost.lost, lost.stored) == (marked.lost, marked.stored) == (True, False)
    assert (back.lost, back.stored) == (False, True)
