"""Sessions that move between bridges: what was committed stays, and what was not is counted by the other bridge alone."""

import os

import pytest
from support.fenced import FencedTransaction
from support.images import NOON, Bench, batch, members, session
from support.stores import MemoryStore
from support.waiting import until

from bridge.lifecycle import Moved
from bridge.model import Epoch, ImageResult
from bridge.sinks.images import Keep
from bridge.storage.image_counts import RESTORED_KEY, counts_of
from bridge.storage.windows import held_windows


@pytest.fixture
def store():
    """Return an empty store."""
    return MemoryStore()


def leave(bench, run):
    """Let another bridge have a session."""
    bench.images.consume(run, Moved(), NOON)


async def stored(bench, store, count=1, *, owned=()):
    """Wait until the store has so many shards, and nothing is left in the spool."""
    await until(
        lambda: bench.commit(owned=owned) or (len(store.objects) == count and not bench.spooled())
    )


def jpegs(store):
    """Return how many images each shard in the store has."""
    return [
        len([name for name in members(shard) if name.endswith(".jpg")])
        for shard in store.objects.values()
    ]


async def test_what_is_in_memory_is_dropped_and_not_counted(tmp_path, store):
    """A window, an operation that no commit has taken, counts of what was sampled out: nothing of them is written."""
    bench = Bench(tmp_path, store, keep=Keep.SAMPLE)
    run = session()
    async with bench.running():
        bench.register(run)
        bench.send(run, batch(1, 0))  # the first of its epoch: kept, and not committed
        bench.send(run, batch(1, 1, loss=1.0))
        bench.send(run, batch(1, 2, loss=0.5))  # sampled out
        leave(bench, run)
        pending = bench.images.pending
        bench.commit(owned=())
        counts, windows = counts_of(bench.database, "run", 1).counts, held_windows(bench.database)

        assert (pending, counts, windows) == (0, (), [])
        assert bench.index.batch("run", 1, 0) is None
    assert store.objects == {}


async def test_the_memory_of_a_session_that_moved_is_free(tmp_path, store):
    """However often sessions move, as much fits into memory as before."""
    bench = Bench(tmp_path, store, keep=Keep.SAMPLE, memory_bytes=20_000)
    async with bench.running():
        for number in range(50):
            run = session(f"run-{number}")
            bench.register(run)
            bench.send(run, batch(1, 0))
            bench.send(run, batch(1, 1))
            leave(bench, run)
        assert bench.images.pending == 0
        assert bench.metric("bridge_dropped_total", what="image", reason="memory_full") in (None, 0)


async def test_the_window_stays_on_disk_for_the_other_bridge(tmp_path, store):
    """Its row is as the last commit left it."""
    bench = Bench(tmp_path, store, keep=Keep.SAMPLE)
    run = session()
    async with bench.running():
        bench.register(run)
        bench.send(run, batch(1, 0))
        bench.send(run, batch(1, 1))
        bench.commit()
        before = held_windows(bench.database)
        leave(bench, run)
        bench.commit(owned=())
        bench.commit(owned=())

        assert len(before) == 1
        assert held_windows(bench.database) == before


async def test_its_shard_is_uploaded_with_what_was_committed(tmp_path, store):
    """The bridge that has received images brings them to the store, whoever has the session then."""
    bench = Bench(tmp_path, store)
    run = session()
    async with bench.running():
        bench.register(run)
        bench.send(run, batch(1, 0))
        bench.commit()
        leave(bench, run)
        await stored(bench, store)

        [first, _] = bench.index.images("run", 1, 0)
        assert first.location.stored
        assert bench.images.reader.read(first.location) == batch(1, 0).images[0].jpeg
    assert jpegs(store) == [2]
    assert bench.images._spool.used_bytes == 0


@pytest.mark.parametrize("is_closing", [False, True])
@pytest.mark.parametrize("committed", [0, 1])
async def test_what_a_refused_commit_has_written_is_cut_off(tmp_path, store, committed, is_closing):
    """Also where the commit has closed the shard: the other bridge has these images sent again."""
    bench = Bench(tmp_path, store)
    run = session()
    async with bench.running():
        bench.register(run)
        for number in range(committed):
            bench.send(run, batch(1, number))
            bench.commit()
        before = bench.books()
        bench.send(run, batch(1, 7))
        if is_closing:
            bench.images.consume(run, Epoch(1, 0.5, 0.5), NOON)
        work = bench.images.collect()
        leave(bench, run)  # the committer reports it before the rest
        with bench.database.transaction() as transaction:
            work.write(FencedTransaction(transaction, frozenset()))
        work.on_committed()
        await stored(bench, store, committed)

        assert bench.index.batch("run", 1, 7) is None
        assert bench.images.pending == 0
        assert bench.resolved[ImageResult.STORED] == before[ImageResult.STORED] == 2 * committed
        counts = counts_of(bench.database, "run", 1).counts
        assert [count.images for count in counts] == [2] * committed
    assert jpegs(store) == [2] * committed
    assert bench.images._spool.used_bytes == 0


async def test_others_lose_nothing_by_it(tmp_path, store):
    """In the same commit, what this bridge still has is written as ever."""
    bench = Bench(tmp_path, store)
    stays, goes = session("stays"), session("goes")
    async with bench.running():
        for run in (stays, goes):
            bench.register(run)
            bench.send(run, batch(1, 0))
        bench.commit(owned={"stays"})
        leave(bench, goes)
        bench.commit(owned={"stays"})

        assert bench.index.batch("stays", 1, 0).images == 2
        assert bench.index.batch("goes", 1, 0) is None
        assert bench.resolved == {ImageResult.STORED: 2}
    assert [key.partition("/")[0] for key in store.objects] == ["stays"]


async def test_a_session_may_come_back_before_its_shard_is_closed(tmp_path, store):
    """It begins a new shard at once, and the old one loses nothing that was committed."""
    bench = Bench(tmp_path, store)
    run, again = session(), session()
    async with bench.running():
        bench.register(run)
        bench.send(run, batch(1, 0))
        bench.commit()
        leave(bench, run)
        again.restored_state[RESTORED_KEY] = counts_of(bench.database, "run", 1).counts
        bench.images.take_over(again, None)
        bench.send(again, batch(1, 1))
        bench.commit()

        for number in (0, 1):
            images = bench.index.images("run", 1, number)
            assert [bench.images.reader.read(image.location) for image in images] == [
                image.jpeg for image in batch(1, number).images
            ]
        assert bench.images.counts("run") == (4, 0)
    assert jpegs(store) == [2, 2]


async def test_a_shard_that_the_disk_refuses_to_close_is_tried_again(tmp_path, store, monkeypatch):
    """It costs no image."""
    bench = Bench(tmp_path, store)
    run = session()
    refusals = iter([OSError(28, "no space")])
    truncate = os.truncate

    def refuse_once(path, size):
        if refusal := next(refusals, None):
            raise refusal
        truncate(path, size)

    async with bench.running():
        bench.register(run)
        bench.send(run, batch(1, 0))
        bench.commit()
        monkeypatch.setattr(os, "truncate", refuse_once)
        leave(bench, run)
        await stored(bench, store)
    assert jpegs(store) == [2]


async def test_the_new_owner_goes_on_where_the_other_was(tmp_path, store):
    """With its counts, the candidate of its window, and the epoch that it is in."""
    first = Bench(tmp_path / "first", store, keep=Keep.SAMPLE)
    run = session()
    async with first.running():
        first.register(run)
        first.send(run, batch(1, 0))
        first.send(run, batch(1, 1))
        first.commit()
        [(_, window)] = held_windows(first.database)
        counts = counts_of(first.database, "run", 1).counts
        leave(first, run)

    second = Bench(tmp_path / "second", store, keep=Keep.SAMPLE)
    again = session()
    again.restored_state[RESTORED_KEY] = counts
    again.apply(batch(1, 1), NOON)
    async with second.running():
        second.images.take_over(again, window)
        second.commit()
        assert second.images.counts("run") == (4, 0)
        assert second.index.batch("run", 1, 1).images == 2
        second.images.consume(
            again, batch(1, 2), NOON
        )  # not the first of its epoch: it waits in a window
        second.commit()
        assert second.index.batch("run", 1, 2) is None
        assert len(held_windows(second.database)) == 1
    assert second.resolved == {ImageResult.STORED: 6}
