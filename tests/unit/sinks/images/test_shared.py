"""Images of bridges that share a database: each is counted and kept once, whoever received it, and whatever dies."""

from contextlib import ExitStack

import pytest
from sqlalchemy import bindparam, delete, update
from support.images import NOON, Bench, batch, members, session
from support.shared_database import opened
from support.stores import MemoryStore
from support.waiting import until

from bridge.errors import StorageError
from bridge.lifecycle import Moved
from bridge.model import Epoch, ImageResult
from bridge.sinks.images import Keep
from bridge.sinks.images.lost_images import LostImages
from bridge.storage.image_counts import RESTORED_KEY, counts_of
from bridge.storage.owners import OwnerRows
from bridge.storage.schema import BRIDGES, SHARDS, WINDOWS
from bridge.storage.shards import is_rebuilt, shards_of_session
from bridge.storage.statements import Statement
from bridge.storage.windows import held_windows

SEEN_LONG_AGO = Statement(
    update(BRIDGES)
    .values(seen_ms=BRIDGES.c.seen_ms - 3_600_000)
    .where(BRIDGES.c.bridge_id == bindparam("bridge"))
)
FORGET_SHARDS = Statement(delete(SHARDS).where(SHARDS.c.session_id == bindparam("session")))
WINDOW = Statement(WINDOWS.select().where(WINDOWS.c.session_id == bindparam("session")))


@pytest.fixture
def store():
    """Return the store that all bridges have."""
    return MemoryStore()


@pytest.fixture
def open_bench(tmp_path, postgres_url, store):
    """Return how a test builds the image sink of a bridge on the database that they share."""
    with ExitStack() as stack:

        def bench(name, *, folder=None, **options):
            database = stack.enter_context(opened(postgres_url, name))
            return Bench(tmp_path / (folder or name), store, database=database, **options)

        yield bench


def refuse(*_arguments):
    """Commit nothing."""
    raise StorageError("killed")


def take(bench, session_id="run", *, attempt=1):
    """Make a bridge the owner of a session, and have it go on with it as the database has it."""
    OwnerRows(bench.database).take([session_id])
    again = session(session_id, attempt=attempt)
    again.restored_state[RESTORED_KEY] = counts_of(bench.database, session_id, attempt).counts
    window = bench.database.query(WINDOW, {"session": session_id})
    bench.images.take_over(again, window[0][1] if window else None)
    return again


def own(bench, session_id="run"):
    """Register a new session at a bridge."""
    OwnerRows(bench.database).take([session_id])
    run = session(session_id)
    bench.register(run)
    return run


def counted(bench, session_id="run"):
    """Return what the database has counted."""
    counts = counts_of(bench.database, session_id, 1).counts
    return {count.result: count.images for count in counts}


async def read(bench, session_id, number):
    """Return the images of a batch, once the store has them."""

    def are_stored():
        bench.commit()
        images = bench.index.images(session_id, 1, number)
        return images and all(image.location.stored for image in images)

    await until(are_stored)
    return [
        bench.images.reader.read(image.location)
        for image in bench.index.images(session_id, 1, number)
    ]


async def test_a_session_moves_to_and_fro(open_bench, store):
    """Every batch is counted once, shown once, and in the store; what was refused is sent again to the new owner."""
    first, second = open_bench("a"), open_bench("b")
    async with first.running(), second.running():
        here, there = first, second
        run = own(here)
        for number in range(12):
            here.send(run, batch(1, number))
            here.commit()
            if number % 2:
                again = take(there)
                here.send(run, batch(1, 100 + number))  # which no commit takes
                work = here.images.collect()
                with here.database.group() as transaction:
                    assert not transaction.owns("run")
                    here.images.consume(run, Moved(), NOON)
                    work.write(transaction)
                work.on_committed()
                here, there, run = there, here, again
                here.send(run, batch(1, 100 + number))
        here.images.consume(run, Epoch(1, 0.5, 0.5), NOON)
        sent = [*range(12), *(100 + number for number in range(1, 12, 2))]

        def are_stored():
            first.commit()
            second.commit()
            return all(one.stored for one in shards_of_session(first.database, "run"))

        await until(are_stored)
        for number in sent:
            images = first.index.images("run", 1, number)
            assert [first.images.reader.read(image.location) for image in images] == [
                image.jpeg for image in batch(1, number).images
            ]
        assert counted(first) == {ImageResult.STORED: 2 * len(sent)}
        assert here.images.counts("run") == (2 * len(sent), 0)
        assert first.images.pending == second.images.pending == 0
    names = [name for shard in store.objects.values() for name in members(shard) if ".jpg" in name]
    assert len(names) == len(set(names)) == 2 * len(sent)
    assert first.spooled() == second.spooled() == []


async def test_the_window_goes_along(open_bench):
    """What was the worst of its half second at the old owner is kept by the new one, once."""
    first, second = (open_bench(name, keep=Keep.SAMPLE) for name in "ab")
    async with first.running(), second.running():
        run = own(first)
        first.send(run, batch(1, 0))
        first.send(run, batch(1, 1, loss=9.0))
        first.commit()
        take(second)
        first.images.consume(run, Moved(), NOON)
        first.commit()
        second.commit()
        first.commit()

        assert second.index.batch("run", 1, 1).loss == 9.0
        assert counted(second) == {ImageResult.STORED: 4}
        assert second.database.query(WINDOW, {"session": "run"}) == []


async def test_a_start_takes_up_what_is_its_own(open_bench, store):
    """Its spool and its windows; those of others are none of its business."""
    store.gate.clear()
    first, second = (open_bench(name, keep=Keep.SAMPLE) for name in "ab")
    async with second.running():
        own(second, "other")
        second.send(session("other"), batch(1, 0))
        second.send(session("other"), batch(1, 1))
        second.commit()
        async with first.running(drain_seconds=0.0):
            run = own(first)
            first.send(run, batch(1, 0))
            first.send(run, batch(1, 1))
            first.commit()
            first.commit = refuse  # as if it were killed
        back = open_bench("a", keep=Keep.SAMPLE)
        async with back.running():
            again = session()
            again.restored_state[RESTORED_KEY] = counts_of(back.database, "run", 1).counts
            back.images.resume([again])
            store.gate.set()
            assert await read(back, "run", 0) == [image.jpeg for image in batch(1, 0).images]
            assert back.index.batch("run", 1, 1).images == 2
            assert back.images.counts("run") == (4, 0)
        [(held, _)] = held_windows(second.database)
        assert held == "other"


async def test_lost_images_are_in_the_series_of_the_new_owner(open_bench, store):
    """Once, and also where another bridge has given them up."""
    store.gate.clear()
    gone, living, third = (open_bench(name) for name in "abc")
    async with living.running(), gone.running(drain_seconds=0.0):
        run = own(gone)
        gone.send(run, batch(1, 0))
        gone.commit()
        take(living)
        with living.database.transaction() as transaction:
            transaction.execute(SEEN_LONG_AGO, {"bridge": "a"})
        looks = [
            LostImages(one.database, one.images._accounting, one.telemetry, 600.0)
            for one in (third, living, living)
        ]
        for look in looks:
            await look.look()

        assert living.resolved == {ImageResult.STORED: 2, ImageResult.LOST: 2}
        assert third.resolved == {}
        assert third.metric("bridge_dropped_total", what="image", reason="lost") == 2
        assert living.metric("bridge_dropped_total", what="image", reason="lost") is None
        [image, _] = living.index.images("run", 1, 0)
        assert (image.location.lost, image.location.bridge_id) == (True, "a")
        store.gate.set()


async def test_what_was_deleted_meanwhile_does_not_stay_in_the_store(open_bench, store):
    """A bridge that was away uploads a shard of a session that another one has deleted: it removes it again."""
    bench = open_bench("a")
    async with bench.running():
        store.gate.clear()
        run = own(bench)
        bench.send(run, batch(1, 0))
        bench.images.consume(run, Epoch(1, 0.5, 0.5), NOON)
        bench.commit()
        with bench.database.transaction() as transaction:
            transaction.execute(FORGET_SHARDS, {"session": "run"})
        store.gate.set()
        await until(lambda: bench.commit() or (not bench.spooled() and not store.objects))
        assert bench.metric("bridge_shards_deleted_total") == 1


async def test_a_start_leaves_nothing_of_what_was_deleted_meanwhile(open_bench, tmp_path, store):
    """Neither in the spool nor among damaged files."""
    store.gate.clear()
    bench = open_bench("a")
    async with bench.running(drain_seconds=0.0):
        run = own(bench)
        bench.send(run, batch(1, 0))
        bench.images.consume(run, Epoch(1, 0.5, 0.5), NOON)
        bench.commit()
        with bench.database.transaction() as transaction:
            transaction.execute(FORGET_SHARDS, {"session": "run"})
    assert bench.spooled()
    back = open_bench("a")
    async with back.running():
        assert back.spooled() == []
    assert not (tmp_path / "a" / "damaged").exists()
    store.gate.set()


async def test_one_bridge_rebuilds_the_index_of_a_new_database(open_bench, store, tmp_path):
    """The shards of a store are read once, and every bridge shows them."""
    old = Bench(tmp_path / "old", store)
    async with old.running():
        for number in range(3):
            run = session(f"run-{number}")
            old.register(run)
            old.send(run, batch(1, 0))
            old.commit()
    first, second = open_bench("a"), open_bench("b")
    async with first.running(), second.running():

        def is_done():
            first.commit()
            second.commit()
            have_listed = [bench.images.last_attempt("run-2") for bench in (first, second)]
            return is_rebuilt(first.database, "store") and all(have_listed)

        await until(is_done)
        for bench in (first, second):
            for number in range(3):
                assert bench.index.batch(f"run-{number}", 1, 0).images == 2
                assert bench.images.last_attempt(f"run-{number}") == 1
        assert len(shards_of_session(first.database, "run-1")) == 1
