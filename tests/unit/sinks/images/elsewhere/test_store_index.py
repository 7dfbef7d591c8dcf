"""The store's images of a session are listed once for many questions, bounded, and seldom asked for in vain."""

import asyncio
import math
from contextlib import AsyncExitStack

import pytest
from support.elsewhere import elsewhere_in
from support.images import NOON_MS
from support.shards import put_batch

from bridge.errors import LimitError, OverloadedError, StorageError
from bridge.sinks.images.elsewhere.asked_names import AT_ONCE
from bridge.sinks.images.elsewhere.store_index import (
    ABSENT_SECONDS,
    LISTED_SECONDS,
    SHARED_SECONDS,
)
from bridge.storage.deletions import Deletion, ImageScope


@pytest.fixture
async def opened(tmp_path):
    """Return a function that returns a store and its index, which end with the test."""
    async with AsyncExitStack() as stack:

        async def open_one(**limits):
            return await stack.enter_async_context(elsewhere_in(tmp_path, **limits))

        yield open_one


async def find(elsewhere, name="run", *, is_known=False, wait=30.0):
    """Ask what the store has of a session."""
    return await elsewhere.index.find(name, is_known=is_known, wait_seconds=wait)


async def batches(elsewhere, name="run", **kind):
    """Return which batches of a session the store has, newest first; None: it has nothing of it."""
    found = await find(elsewhere, name, **kind)
    if found is None:
        return None
    return [(one.epoch, one.batch) for one in found.index.newest(name, limit=100)]


async def test_labels_losses_and_attempts_are_those_of_the_shards(opened):
    """What a page shows of a batch is read from the index of its shard: nothing else is needed."""
    elsewhere = await opened()
    key = put_batch(elsewhere.store, 3, 7, attempt=2, loss=math.nan)
    found = await find(elsewhere)
    [batch] = found.index.worst("run", limit=5)
    [first, second] = found.index.images("run", 3, 7)
    assert (batch.attempt, batch.received_ms, batch.images) == (2, NOON_MS, 2)
    assert math.isnan(batch.loss)
    assert (first.predicted_class, first.true_class, second.true_class) == (1, 1, 2)
    assert (first.location.key, first.location.stored) == (key, True)
    assert found.class_names == ("", "dog", 'a "bird"')
    where = first.location
    assert elsewhere.store.read(where.key, where.offset, where.length)[:2] == b"\xff\xd8"


async def test_many_questions_share_one_listing_for_a_minute(opened):
    """Ten panels of a board that ask at once cost one listing; a minute later newer shards are there."""
    elsewhere = await opened()
    put_batch(elsewhere.store, 1, 1)
    answers = await asyncio.gather(*(batches(elsewhere) for _ in range(10)))
    assert answers == [[(1, 1)]] * 10
    put_batch(elsewhere.store, 1, 2, at=30, number=2)
    elsewhere.clock.turn(59)
    assert await batches(elsewhere) == [(1, 1)]
    assert (elsewhere.asked("list"), elsewhere.asked("read")) == (1, 1)
    elsewhere.clock.turn(2)
    assert await batches(elsewhere) == [(1, 2), (1, 1)]
    assert (elsewhere.asked("list"), elsewhere.asked("read")) == (2, 2)


async def test_a_shard_that_the_store_has_no_more_is_forgotten(opened):
    """A lifecycle rule or another bridge deletes shards: their rows go with the next listing."""
    elsewhere = await opened()
    put_batch(elsewhere.store, 1, 1)
    gone = put_batch(elsewhere.store, 1, 2, at=30, number=2)
    assert await batches(elsewhere) == [(1, 2), (1, 1)]
    elsewhere.store.delete(gone)
    elsewhere.clock.turn(61)
    assert await batches(elsewhere) == [(1, 1)]


async def test_a_name_without_shards_is_asked_for_seldom(opened):
    """Whoever asks for the same name again and again costs a listing in ten seconds."""
    elsewhere = await opened()
    put_batch(elsewhere.store, session_id="run-10")
    for _ in range(5):
        assert await find(elsewhere, "run-1") is None
    assert elsewhere.asked("list") == 1
    put_batch(elsewhere.store, session_id="run-1")
    elsewhere.clock.turn(11)
    assert await batches(elsewhere, "run-1") == [(1, 0)]


async def test_made_up_names_cannot_flood_the_store(opened):
    """Names that nobody knows are refused beyond a rate; sessions that this bridge knows are not."""
    elsewhere = await opened()
    put_batch(elsewhere.store)
    for number in range(int(AT_ONCE)):
        assert await find(elsewhere, f"name-{number}") is None
    with pytest.raises(LimitError, match="try again in a few seconds"):
        await find(elsewhere, "one-more")
    assert elsewhere.asked("list") == AT_ONCE
    assert await batches(elsewhere, is_known=True) == [(1, 0)]
    elsewhere.clock.turn(1)
    assert await find(elsewhere, "one-more") is None


async def test_a_store_that_fails_is_left_alone_for_some_seconds(opened):
    """The first question gets its error, those after it the same without asking; then it is asked again."""
    elsewhere = await opened()
    put_batch(elsewhere.store)
    elsewhere.store.fault = StorageError("connection refused")
    for name in ("run", "run", "other"):
        with pytest.raises(StorageError, match="connection refused"):
            await find(elsewhere, name)
    assert elsewhere.asked("list") == 1
    elsewhere.store.fault = None
    elsewhere.clock.turn(6)
    assert await batches(elsewhere) == [(1, 0)]


async def test_what_was_read_stays_visible_while_the_store_is_down(opened):
    """An outage hides newer shards, and says so; it does not hide what is known."""
    elsewhere = await opened()
    put_batch(elsewhere.store)
    assert (await find(elsewhere)).problem == ""
    elsewhere.store.fault = StorageError("connection refused")
    elsewhere.clock.turn(61)
    found = await find(elsewhere)
    assert found.problem == "connection refused"
    assert [one.batch for one in found.index.newest("run", limit=5)] == [0]


async def test_a_session_read_in_part_is_not_taken_for_all_of_it(opened):
    """A store that fails between two shards leaves no answer that lacks the second; the next try reads on."""
    elsewhere = await opened()
    for number in range(20):
        put_batch(elsewhere.store, 1, number, at=number, number=number)
    broken, read = elsewhere.store.objects, elsewhere.store.read
    oldest = min(broken)

    def failing(key, offset, length):
        if key == oldest:
            raise StorageError("reset by peer")
        return read(key, offset, length)

    elsewhere.store.read = failing
    for _ in range(2):
        with pytest.raises(StorageError, match="reset by peer"):
            await find(elsewhere)
    elsewhere.store.read = read
    before = elsewhere.asked("read")
    elsewhere.clock.turn(6)
    assert len(await batches(elsewhere)) == 20
    assert elsewhere.asked("read") - before == 4


async def test_a_store_that_hangs_costs_a_bounded_wait(opened):
    """Whoever asks learns that it takes long; the reading goes on, and answers the next question."""
    elsewhere = await opened()
    put_batch(elsewhere.store)
    elsewhere.store.gate.clear()
    with pytest.raises(OverloadedError, match="being read from the store"):
        await find(elsewhere, wait=0.05)
    elsewhere.store.gate.set()
    assert await batches(elsewhere) == [(1, 0)]
    assert elsewhere.asked("list") == 1


async def test_too_many_images_cost_the_oldest_sessions_first(opened):
    """Rows are bounded over all sessions: the one that was asked for longest ago is read again when it is wanted."""
    elsewhere = await opened(images=4)
    for name in ("a", "b", "c"):
        put_batch(elsewhere.store, session_id=name)
    for name in ("a", "b"):
        assert await batches(elsewhere, name) == [(1, 0)]
    assert await batches(elsewhere, "c") == [(1, 0)]
    assert [elsewhere.cache.images(name) for name in ("a", "b", "c")] == [0, 2, 2]
    assert await batches(elsewhere, "a") == [(1, 0)]


async def test_too_many_sessions_cost_the_oldest(opened):
    """A session takes memory for the names of its classes, too: there are at most so many."""
    elsewhere = await opened(sessions=2)
    for name in ("a", "b", "c"):
        put_batch(elsewhere.store, session_id=name)
        await find(elsewhere, name)
    assert [elsewhere.cache.images(name) for name in ("a", "b", "c")] == [0, 2, 2]


async def test_of_a_session_with_too_many_images_the_newest_are_indexed(opened):
    """One session alone may have more images than fit: its newest count, and those that come later."""
    elsewhere = await opened(images=64)
    for number in range(48):
        put_batch(elsewhere.store, 1, number, at=number, number=number)
    found = await find(elsewhere)
    newest = found.index.newest("run", limit=100)
    assert found.left_out == 16
    assert [one.batch for one in newest] == [*range(47, 15, -1)]
    put_batch(elsewhere.store, 1, 48, at=48, number=48)
    elsewhere.clock.turn(61)
    found = await find(elsewhere)
    newest = found.index.newest("run", limit=100)
    assert newest[0].batch == 48
    assert len(newest) == 25
    assert found.left_out == 24


async def test_what_this_bridge_has_indexed_is_left_out_where_it_knows_the_session(opened):
    """Its own rows are better: they have what is not uploaded yet. Without a row of the session they lack the labels."""
    elsewhere = await opened()
    own = put_batch(elsewhere.store, 1, 1)
    elsewhere.own["run"] = {own}
    assert await find(elsewhere, is_known=True) is None
    put_batch(elsewhere.store, 1, 2, at=30, number=2)
    elsewhere.clock.turn(61)
    assert await batches(elsewhere, is_known=True) == [(1, 2)]
    found = await find(elsewhere)
    assert found.labels[1] == "dog"
    assert await batches(elsewhere) == [(1, 2), (1, 1)]


async def test_a_store_whose_index_is_shared_is_listed_seldom(opened):
    """What other bridges store is in that index already: there is nothing to find but what it has lost."""
    elsewhere = await opened()
    elsewhere.is_shared = True
    elsewhere.own["run"] = {put_batch(elsewhere.store, 1, 1)}
    assert await find(elsewhere, is_known=True) is None
    elsewhere.clock.turn(SHARED_SECONDS - 1)
    assert await find(elsewhere, is_known=True) is None
    assert elsewhere.asked("list") == 1
    put_batch(elsewhere.store, 1, 2, at=30, number=2)
    elsewhere.clock.turn(2)
    assert await batches(elsewhere, is_known=True) == [(1, 2)]
    elsewhere.clock.turn(LISTED_SECONDS + 1)
    put_batch(elsewhere.store, 1, 3, at=60, number=3)
    assert await batches(elsewhere, is_known=True) == [(1, 3), (1, 2)]


async def test_a_shared_index_that_is_not_complete_yet_is_not_relied_on(opened):
    """While it is rebuilt from the store, and for names that it does not have, the store is listed as ever."""
    elsewhere = await opened()
    assert await find(elsewhere, is_known=True) is None
    elsewhere.is_shared = True
    elsewhere.clock.turn(LISTED_SECONDS + 1)
    put_batch(elsewhere.store, 1, 1)
    assert await batches(elsewhere, is_known=True) == [(1, 1)]
    assert await find(elsewhere, "other") is None
    put_batch(elsewhere.store, 1, 1, session_id="other")
    elsewhere.clock.turn(ABSENT_SECONDS + 1)
    assert await batches(elsewhere, "other") == [(1, 1)]


async def test_what_is_being_deleted_is_not_shown(opened):
    """A session that was deleted with its images does not come back from the store before they are gone."""
    elsewhere = await opened()
    put_batch(elsewhere.store, 1, 1)
    assert await batches(elsewhere) == [(1, 1)]
    elsewhere.deletions.append(Deletion("run", ImageScope.ALL, NOON_MS + 1000))
    await asyncio.to_thread(elsewhere.index.forget, "run")
    assert elsewhere.cache.images("run") == 0
    assert await find(elsewhere) is None
    elsewhere.index.forget("run")
    put_batch(elsewhere.store, 1, 2, at=60, number=2)
    assert await batches(elsewhere) == [(1, 2)]


async def test_a_shard_deleted_between_listing_and_reading_costs_nothing_else(opened, monkeypatch):
    """A lifecycle rule may be at work: nothing is counted as dropped, and no alert fires for it."""
    elsewhere = await opened()
    put_batch(elsewhere.store, 1, 1)
    gone = put_batch(elsewhere.store, 1, 2, at=30, number=2)
    listed = list(elsewhere.store.list("run/"))
    monkeypatch.setattr(elsewhere.store, "list", lambda _prefix: iter(listed))
    elsewhere.store.delete(gone)
    assert await batches(elsewhere) == [(1, 1)]
    assert elsewhere.dropped("shard", "unreadable") is None


async def test_what_is_not_a_shard_is_counted_once(opened):
    """Anything may lie in a bucket: it costs itself, and is not read again with each listing."""
    elsewhere = await opened()
    put_batch(elsewhere.store, 1, 1)
    name = "run/2023-11-14/1700000000001-a1-abcd0123-000009.tar"
    elsewhere.store.objects |= {name: b"not a shard", "run/notes.txt": b"", "run/../x": b""}
    for _ in range(2):
        assert await batches(elsewhere) == [(1, 1)]
        elsewhere.clock.turn(61)
    assert elsewhere.dropped("shard", "unreadable") == 1


async def test_shards_of_older_bridges_are_read(opened):
    """Their keys name no attempt."""
    elsewhere = await opened()
    key = put_batch(elsewhere.store, 1, 1)
    elsewhere.store.objects[key.replace("-a1-", "-")] = elsewhere.store.objects.pop(key)
    found = await find(elsewhere)
    assert [(one.batch, one.attempt) for one in found.index.newest("run", limit=5)] == [(1, 1)]


async def test_a_cache_that_somebody_removed_begins_anew(opened, tmp_path):
    """It holds nothing that cannot be read again: one question fails, and the next ones are answered."""
    elsewhere = await opened()
    put_batch(elsewhere.store, 1, 1)
    assert await batches(elsewhere) == [(1, 1)]
    for file in tmp_path.glob("store-index.db*"):
        file.unlink()
    put_batch(elsewhere.store, 1, 2, at=30, number=2)
    elsewhere.clock.turn(61)
    await find(elsewhere)
    elsewhere.clock.turn(61)
    assert await batches(elsewhere) == [(1, 2), (1, 1)]


async def test_a_file_that_a_former_start_left_is_not_used(opened, tmp_path):
    """What is in it may be of another store, or half of something."""
    (tmp_path / "store-index.db").write_bytes(b"no database")
    elsewhere = await opened()
    put_batch(elsewhere.store, 1, 1)
    assert await batches(elsewhere) == [(1, 1)]
    assert (tmp_path / "store-index.db").exists()
