"""The image sink: what is kept can be seen at once and for good, and what is not is counted."""

import asyncio
import errno
import math
import os
import random

import pytest
from support.images import NOON, Bench, batch, members, session
from support.stores import MemoryStore
from support.waiting import until

from bridge.errors import StorageError
from bridge.lifecycle import Ended, Expired
from bridge.model import Epoch, ImageResult, Stage
from bridge.sinks.images import Keep


class Clock:
    """A clock that is moved by hand."""

    def __init__(self):
        """Begin anywhere."""
        self.now = 1000.0

    def __call__(self):
        """Tell the time."""
        return self.now


@pytest.fixture
def store():
    """Return an empty store."""
    return MemoryStore()


async def test_an_image_can_be_read_from_its_commit_on(tmp_path, store):
    """While its shard is open, while that waits for the store, and when it is there."""
    bench = Bench(tmp_path, store)
    async with bench.running():
        store.gate.clear()
        run, sent = session(), batch(1, 7)
        bench.register(run)
        bench.send(run, sent)
        bench.commit()
        while_open = bench.index.images("run", 1, 7)
        seen = [[bench.images.reader.read(image.location) for image in while_open]]
        bench.images.consume(run, Epoch(1, 0.5, 0.5), NOON)
        bench.commit()
        seen.append([bench.images.reader.read(image.location) for image in while_open])
        store.gate.set()
        await until(lambda: store.objects)
        await until(lambda: bench.commit() or not bench.spooled())
        stored = bench.index.images("run", 1, 7)
        seen.append([bench.images.reader.read(image.location) for image in stored])
        # A page may have looked the place up just before the shard moved.
        seen.append([bench.images.reader.read(image.location) for image in while_open])

    assert seen == [[image.jpeg for image in sent.images]] * 4
    assert [image.location.stored for image in while_open + stored] == [False] * 2 + [True] * 2


async def test_the_store_gets_shards_named_by_session_day_and_time(tmp_path, store):
    """Keys sort by time, and the index place is in the object's metadata."""
    bench = Bench(tmp_path, store)
    async with bench.running():
        bench.send(session("a..b"), batch())
        bench.commit()

    ((key, shard),) = store.objects.items()
    folder, day, name = key.split("/")
    assert (folder, day) == ("a..b", "2023-11-14")
    assert name.startswith("1700000000000-")
    assert name.endswith("-000001.tar")
    place = store.metadata[key]
    start, length = int(place["index-offset"]), int(place["index-length"])
    assert shard[start : start + length] == members(shard)[".index.jsonl"]
    assert bench.spooled() == []


async def test_a_lonely_batch_is_kept_when_its_window_closes(tmp_path, store):
    """Time alone closes a window: the bridge asks for a commit by itself."""
    bench = Bench(tmp_path, store, keep=Keep.SAMPLE, batches_per_second=20)
    async with bench.running():
        await until(lambda: bench.commits_requested)  # the empty store has been read
        bench.commit()
        bench.commits_requested = 0
        run = session()
        for number in (0, 1):
            bench.send(run, batch(1, number))
        bench.commit()
        at_first = bench.books()[ImageResult.STORED]
        await until(lambda: bench.commits_requested)
        bench.commit()

        assert (at_first, bench.books()[ImageResult.STORED]) == (2, 4)


async def test_sampling_keeps_the_worst_and_counts_the_rest(tmp_path, store):
    """Of a second of batches the first of the epoch and the worst of each half stay, and the books balance."""
    clock = Clock()
    bench = Bench(tmp_path, store, keep=Keep.SAMPLE, clock=clock)
    async with bench.running():
        run = session()
        for number in range(60):
            loss = {17: 9.0, 45: math.nan}.get(number, 1.0)
            bench.send(run, batch(1, number, loss=loss, invalid=number % 2))
            clock.now += 1 / 60
        bench.images.consume(run, Ended(Stage.ENDED), NOON)
        bench.commit()

        books = bench.books()
        kept = [found.batch for found in bench.index.page("run", limit=99)]
        assert kept == [0, 17, 45]
        assert books == {
            ImageResult.STORED: 6,
            ImageResult.SAMPLED_OUT: 114,
            ImageResult.DROPPED: 0,
            ImageResult.INVALID: 30,
        }
        assert bench.images.counts("run") == (6, 30)


async def test_a_shard_closes_when_it_is_full_old_or_over(tmp_path, store):
    """Size, age, the end of the epoch and the end of the session each close a shard."""
    clock = Clock()
    bench = Bench(tmp_path, store, clock=clock, shard_bytes=20_000, shard_seconds=30.0)
    run = session()

    async def shards(count):
        await until(lambda: bench.commit() or len(store.objects) == count)

    async with bench.running():
        for number in range(9):
            bench.send(run, batch(1, number))
            bench.commit()
        full = bench.spooled()
        await shards(1)
        clock.now += 31
        await shards(2)
        bench.send(run, batch(1, 20))
        bench.send(run, batch(2, 0))
        await shards(3)
        bench.images.consume(run, Ended(Stage.ENDED), NOON)
        await shards(4)

    assert len(full) == 2
    assert all(len(shard) < 24_000 + 8_000 for shard in store.objects.values())


async def test_a_new_attempt_leaves_the_images_of_the_first(tmp_path, store):
    """The same batch of a second attempt has a shard, members and an index entry of its own, and is shown first."""
    bench = Bench(tmp_path, store)
    async with bench.running():
        first, second = session(), session(attempt=2)
        newer = batch(1, 0, shade=10, images=1)
        bench.register(first)
        bench.send(first, batch(1, 0, shade=200))
        bench.register(second)
        bench.send(second, newer)
        bench.commit()
        shown = bench.index.images("run", 1, 0)

        assert [bench.images.reader.read(image.location) for image in shown] == [
            newer.images[0].jpeg
        ]
        former = bench.index.images("run", 1, 0, attempt=1)
        assert [bench.images.reader.read(image.location) for image in former] == [
            image.jpeg for image in batch(1, 0, shade=200).images
        ]
        assert bench.images.counts("run") == (1, 0)
        assert bench.books()[ImageResult.STORED] == 3
    first_key, second_key = sorted(store.objects, key=lambda key: "-a2-" in key)
    assert ("-a1-" in first_key, "-a2-" in second_key) == (True, True)


async def test_a_failed_commit_is_tried_again_without_writing_twice(tmp_path, store):
    """When the database refuses, the images are in the shard once, and nowhere before it accepts."""
    bench = Bench(tmp_path, store)
    async with bench.running():
        bench.send(session(), batch(1, 0))
        work = bench.images.collect()

        def commit(*, fails):
            with bench.database.transaction() as transaction:
                work.write(transaction)
                if fails:
                    raise StorageError("no")

        for _ in range(2):
            with pytest.raises(StorageError):
                commit(fails=True)
        unknown, size = bench.index.batch("run", 1, 0), bench.spooled()[0].stat().st_size
        pending = bench.images.pending
        commit(fails=False)
        work.on_committed()

        assert (unknown, pending) == (None, 2)
        assert bench.spooled()[0].stat().st_size == size
        assert bench.books()[ImageResult.STORED] == 2


async def test_images_are_shed_when_too_many_wait_in_memory(tmp_path, store):
    """A disk that does not keep up costs images, which are counted, and no memory."""
    bench = Bench(tmp_path, store, memory_bytes=5_000)
    async with bench.running():
        for number in range(50):
            bench.send(session(), batch(1, number))
        shed = bench.books()
        bench.commit()
        bench.send(session(), batch(1, 99))
        bench.commit()

        assert shed[ImageResult.DROPPED] > 80
        assert bench.metric("bridge_dropped_total", what="image", reason="memory_full") > 80
        assert bench.images.counts("run")[1] == shed[ImageResult.DROPPED]
        assert bench.index.batch("run", 1, 99) is not None
        assert bench.images.pending == 0


async def test_a_spool_that_fills_up_sheds_in_order(tmp_path, store):
    """At 90 % only the first batch of an epoch is kept, at 95 % none; and it recovers by itself."""
    bench = Bench(tmp_path, store, spool_bytes=200_000, shard_bytes=20_000)
    store.fault = StorageError("down")
    async with bench.running():
        run = session()
        number = 0
        while bench.books()[ImageResult.DROPPED] == 0:
            number += 1
            bench.send(run, batch(1, number))
            bench.commit()
        bench.send(run, batch(2, 0))
        bench.commit()
        first_of_epoch = bench.index.batch("run", 2, 0)
        for epoch in range(3, 20):
            bench.send(run, batch(epoch, 0))
            bench.commit()
        used = sum(path.stat().st_size for path in bench.spooled())
        last = bench.index.batch("run", 19, 0)
        store.fault = None
        await until(lambda: bench.commit() or len(bench.spooled()) <= 1)
        bench.send(run, batch(20, 0))
        bench.commit()

        assert first_of_epoch is not None
        assert last is None
        assert used <= 200_000
        assert bench.metric("bridge_dropped_total", what="image", reason="spool_full") > 0
        assert bench.index.batch("run", 20, 0) is not None
        bench.books()


async def test_a_full_disk_costs_images_only(tmp_path, store, monkeypatch):
    """When the disk refuses a shard, the commit goes on without its images, and later ones are fine."""
    bench = Bench(tmp_path, store)
    real = os.pwritev

    def half(file, buffers, at):
        real(file, [buffers[0][:100]], at)
        raise OSError(errno.ENOSPC, "No space left on device")

    async with bench.running():
        run = session()
        bench.send(run, batch(1, 0))
        bench.commit()
        monkeypatch.setattr(os, "pwritev", half)
        bench.send(run, batch(1, 1))
        bench.commit()
        monkeypatch.setattr(os, "pwritev", real)
        bench.send(run, batch(1, 2))
        bench.commit()

        assert bench.books()[ImageResult.DROPPED] == 2
        assert bench.metric("bridge_dropped_total", what="image", reason="disk_full") == 2
        assert [found.batch for found in bench.index.page("run", limit=9)] == [0, 2]
    (shard,) = store.objects.values()
    assert [name for name in members(shard) if name.endswith("0.jpg")] == [
        "000001-00000000-00.jpg",
        "000001-00000002-00.jpg",
    ]


async def test_a_shard_that_cannot_be_closed_is_closed_later(tmp_path, store, monkeypatch):
    """Want of room for an index holds a shard up, and loses nothing."""
    bench = Bench(tmp_path, store)
    real = os.pwritev

    def full(_file, _pieces, _at):
        raise OSError(errno.ENOSPC, "No space left on device")

    async with bench.running():
        run = session()
        bench.send(run, batch(1, 0))
        bench.commit()
        monkeypatch.setattr(os, "pwritev", full)
        bench.images.consume(run, Ended(Stage.ENDED), NOON)
        bench.commit()
        open_still = bench.spooled()
        monkeypatch.setattr(os, "pwritev", real)
        await until(lambda: bench.commit() or store.objects)

        assert len(open_still) == 1
        assert bench.books()[ImageResult.STORED] == 2


@pytest.mark.parametrize("trouble", ["refuses", "hangs"])
async def test_a_broken_store_holds_nothing_up(tmp_path, store, trouble):
    """Commits go on, images are readable from the spool, and all is delivered when it is well again."""
    bench = Bench(tmp_path, store)
    async with bench.running():
        if trouble == "hangs":
            store.gate.clear()
        else:
            store.fault = StorageError("the object store answered 500")
        runs = [session(f"run{number}") for number in range(20)]
        for number, run in enumerate(runs):
            bench.send(run, batch(1, number))
            bench.images.consume(run, Ended(Stage.ENDED), NOON)
            bench.commit()
        await until(store.puts)
        await asyncio.sleep(0.3)
        during, readable = store.puts(), bench.index.images("run7", 1, 7)

        assert [bench.images.reader.read(image.location) for image in readable]
        assert during <= 3
        if trouble == "refuses":
            assert bench.metric("bridge_object_store_up") == 0
        store.fault = None
        store.gate.set()
        await until(lambda: bench.commit() or not bench.spooled())
        assert bench.metric("bridge_object_store_up") == 1
        assert bench.books()[ImageResult.STORED] == 40
    assert len(store.objects) == 20


async def test_stopping_delivers_what_fits_and_keeps_the_rest(tmp_path, store):
    """A bridge that stops while its store hangs ends in time; the next one uploads what was left."""
    store.gate.clear()
    first = Bench(tmp_path, store, keep=Keep.SAMPLE)
    async with asyncio.timeout(60):
        async with first.running(drain_seconds=0.2):
            for number in range(3):
                first.send(session(), batch(1, number))
            first.commit()
    left = first.spooled()
    store.gate.set()
    await until(lambda: store.objects)
    second = Bench(tmp_path, store)
    async with second.running():
        images = second.index.images("run", 1, 1)
        seen = [second.images.reader.read(image.location) for image in images]
        await until(lambda: second.commit() or not second.spooled())

    assert len(left) == 1
    assert seen == [image.jpeg for image in batch(1, 1).images]
    assert len(store.objects) == 1


@pytest.mark.parametrize("keeps_spool", [True, False])
async def test_what_a_stop_leaves_behind_is_reported(tmp_path, store, caplog, keeps_spool):
    """With its number; it is lost, and counted, only where the spool goes with the process."""
    store.fault = StorageError("the bucket is away")
    bench = Bench(tmp_path, store, keeps_spool=keeps_spool)
    with caplog.at_level("WARNING", logger="bridge"):
        async with bench.running(drain_seconds=0.05):
            bench.send(session(), batch(1, 0, images=3))
            bench.commit()

    (record,) = [found for found in caplog.records if "not uploaded" in found.message]
    assert record.fields == {"images": 3, "shards": 1, "spool": str(bench.spool)}
    assert ("next start" in record.message) == keeps_spool
    lost = bench.metric("bridge_dropped_total", what="image", reason="not_uploaded")
    assert lost == (None if keeps_spool else 3)


async def test_nothing_is_kept_when_nothing_is_wanted(tmp_path, store):
    """With keep=none no file is made, and every image is counted."""
    bench = Bench(tmp_path, store, keep=Keep.NONE)
    async with bench.running():
        bench.send(session(), batch(1, 0, invalid=1))
        bench.commit()

        assert bench.spooled() == []
        assert bench.books()[ImageResult.SAMPLED_OUT] == 2
        assert bench.images.counts("run") == (0, 1)


async def test_an_expired_session_leaves_nothing_in_memory(tmp_path, store):
    """Sessions come and go without a trace but their shards."""
    bench = Bench(tmp_path, store, keep=Keep.SAMPLE)
    async with bench.running():
        for number in range(50):
            run = session(f"run-{number}")
            bench.register(run)
            for index in range(3):
                bench.send(run, batch(1, index))
            bench.images.consume(run, Ended(Stage.ENDED), NOON)
            bench.images.consume(run, Expired(), NOON)
            bench.commit()

        assert bench.images.counts("run-1") == (0, 0)
        assert bench.images.pending == 0
        assert bench.images._sampler._epochs == bench.images._accounting._by_session == {}
        assert bench.images._spool._open == {}


@pytest.mark.parametrize("seed", range(5))
async def test_the_books_balance_whatever_happens(tmp_path, store, seed):
    """Received = stored + pending + sampled out + dropped + invalid, at any time, under random trouble."""
    chance = random.Random(seed)
    clock = Clock()
    keep = chance.choice([Keep.SAMPLE, Keep.SAMPLE, Keep.ALL])
    bench = Bench(tmp_path, store, keep=keep, clock=clock, spool_bytes=150_000, memory_bytes=20_000)
    runs = {name: session(name) for name in "abc"}
    async with bench.running():
        for number in range(400):
            run = runs[chance.choice("abc")]
            clock.now += chance.random() * 0.2
            event = chance.random()
            if event < 0.85:
                images, invalid = chance.randrange(4), chance.randrange(2)
                loss = chance.choice([1.0, math.nan, chance.random()])
                bench.send(
                    run, batch(1 + number // 99, number, loss=loss, images=images, invalid=invalid)
                )
            elif event < 0.9:
                bench.images.consume(run, Epoch(1, 1.0, 0.5), NOON)
            elif event < 0.93:
                runs[run.id] = again = session(run.id, attempt=run.attempt + 1)
                bench.register(again)
            elif event < 0.96:
                bench.images.consume(run, Ended(Stage.ENDED), NOON)
            else:
                store.fault = chance.choice([None, StorageError("down")])
            if chance.random() < 0.3:
                bench.commit()
            bench.books()
        store.fault = None
    books = bench.books()
    again = Bench(tmp_path, store)
    async with again.running():
        shown = sum(found.images for name in "abc" for found in again.index.newest(name, limit=999))

    assert bench.images.pending == 0
    assert shown == books[ImageResult.STORED] > 0
