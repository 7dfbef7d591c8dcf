"""A bridge that was killed takes up what it finds in the spool."""

import math
import shutil

import pytest
from support.images import Bench, batch, members, session
from support.stores import MemoryStore
from support.waiting import until

from bridge.storage.postgres import BridgeDescription, open_postgres


@pytest.fixture
def store():
    """Return an empty store."""
    return MemoryStore()


def open_shared(url):
    """Open a database as the bridge "a"."""
    return open_postgres(url, BridgeDescription("a"), wait_seconds=0)


async def killed(folder, store, *, batches=4, beyond=0):
    """Return the files of a bridge killed with an open shard, `beyond` bytes of which no commit has recorded."""
    live = folder / "live"
    bench = Bench(live, store)
    async with bench.running():
        for number in range(batches):
            bench.send(session(), batch(1, number))
            bench.commit()
        dead = shutil.copytree(live, folder / "dead")
    store.objects.clear()
    for file in (dead / "spool").glob("*.tar"):
        with file.open("ab") as torn:
            torn.write(b"\0" * beyond)
    return dead


async def delivered(bench, store, count=1):
    """Wait until the store has what was in the spool."""
    await until(lambda: bench.commit() or (len(store.objects) == count and not bench.spooled()))


@pytest.mark.parametrize("beyond", [0, 1, 700, 5000])
async def test_what_was_committed_is_delivered(tmp_path, store, beyond):
    """Each committed image is in the store and readable, and the torn tail is gone."""
    dead = await killed(tmp_path, store, beyond=beyond)

    bench = Bench(dead, store)
    async with bench.running():
        await delivered(bench, store)
        for number in range(4):
            images = bench.index.images("run", 1, number)
            assert [bench.images.reader.read(image.location) for image in images] == [
                image.jpeg for image in batch(1, number).images
            ]

    (shard,) = store.objects.values()
    assert len([name for name in members(shard) if name.endswith(".jpg")]) == 8
    assert ".trailer.json" in members(shard)


@pytest.mark.parametrize("is_torn", [False, True])
async def test_a_spool_is_recovered_with_a_shared_database(tmp_path, store, postgres_url, is_torn):
    """What this bridge had committed is delivered; a shard that cannot be read costs itself, and its rows go with it."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    bench = Bench(live, store, database=open_shared(postgres_url))
    async with bench.running():
        for number in range(4):
            bench.send(session(), batch(1, number))
            bench.commit()
        shutil.copytree(live, dead)
    store.objects.clear()
    [spooled] = (dead / "spool").glob("*.tar")
    if is_torn:
        spooled.write_bytes(b"\0" * spooled.stat().st_size)
    database = open_shared(postgres_url)
    with database.transaction() as transaction:
        transaction.execute("UPDATE shards SET stored = 0, closed = 0")

    again = Bench(dead, store, database=database)
    async with again.running():
        await until(
            lambda: again.commit() or (bool(store.objects) != is_torn and not again.spooled())
        )
        found = [len(again.index.images("run", 1, number)) for number in range(4)]

    assert found == ([0] * 4 if is_torn else [2] * 4)


async def test_a_new_database_knows_which_attempt_images_are_of(tmp_path, store):
    """By the keys of shards, in the store and in the spool; by what is in them where an old key does not say."""
    live = tmp_path / "live"
    bench = Bench(live, store)
    async with bench.running():
        for attempt in (1, 2, 3):
            run = session(attempt=attempt)
            bench.register(run)
            bench.send(run, batch(1, 0, shade=10 * attempt))
            bench.send(run, batch(attempt, attempt))
            bench.commit()
            if attempt == 2:
                await until(lambda: bench.commit() or len(store.objects) >= 2)
        dead = shutil.copytree(live, tmp_path / "dead")
    for file in dead.glob("*.db*"):
        file.unlink()
    for key in [key for key in store.objects if "-a3-" in key]:
        del store.objects[key]
    second = next(key for key in store.objects if "-a2-" in key)
    store.objects[second.replace("-a2-", "-")] = store.objects.pop(second)

    again = Bench(dead, store)
    async with again.running():
        await until(lambda: again.commit() or again.index.attempts("run") == [1, 2, 3])
        shown = [again.index.images("run", 1, 0, attempt=number)[0] for number in (1, 2, 3)]
        read = [again.images.reader.read(image.location) for image in shown]

    assert read == [batch(1, 0, shade=shade).images[0].jpeg for shade in (10, 20, 30)]


async def test_what_no_commit_recorded_is_cut_off(tmp_path, store):
    """Images in the file whose batch was never acknowledged do not appear twice when it is sent again."""
    live = tmp_path / "live"
    bench = Bench(live, store)
    async with bench.running():
        bench.send(session(), batch(1, 0))
        bench.commit()
        bench.send(session(), batch(1, 1))
        work = bench.images.collect()
        with bench.database.transaction() as transaction:
            work.write(transaction)
            dead = shutil.copytree(live, tmp_path / "dead")
        work.on_committed()
    store.objects.clear()

    again = Bench(dead, store)
    async with again.running():
        await delivered(again, store)
        unknown = again.index.batch("run", 1, 1)

    (shard,) = store.objects.values()
    assert unknown is None
    assert [name for name in members(shard) if name.endswith(".jpg")] == [
        "000001-00000000-00.jpg",
        "000001-00000000-01.jpg",
    ]


async def test_a_shard_cut_short_by_a_power_loss_keeps_what_is_whole(tmp_path, store):
    """Where the disk lost even what was committed, the index does not promise it any more."""
    dead = await killed(tmp_path, store)
    (file,) = (dead / "spool").glob("*.tar")
    with file.open("r+b") as torn:
        torn.truncate(file.stat().st_size - 600)

    bench = Bench(dead, store)
    async with bench.running():
        await delivered(bench, store)

        assert [image.position for image in bench.index.images("run", 1, 3)] == [0]
        assert bench.index.batch("run", 1, 2) is not None


async def test_a_new_database_reads_the_spool(tmp_path, store):
    """With the database gone, open and closed shards in the spool are found, indexed and delivered."""
    dead = await killed(tmp_path, store, beyond=300)
    for file in dead.glob("trainbridge.db*"):
        file.unlink()

    bench = Bench(dead, store)
    async with bench.running():
        await delivered(bench, store)
        found = bench.index.page("run", limit=9)
        images = bench.index.images("run", 1, 2)

        assert [each.batch for each in found] == [0, 1, 2, 3]
        assert [(each.images, each.loss) for each in found] == [(2, 0.5)] * 4
        assert [image.is_wrong for image in images] == [False, True]
        assert bench.images.reader.read(images[1].location) == batch(1, 2).images[1].jpeg


async def test_a_new_database_reads_the_store(tmp_path, store):
    """With the database gone, the index is built again from the shards in the store, oldest first."""
    first = Bench(tmp_path / "first", store)
    async with first.running():
        for attempt in (1, 2):
            run = session(attempt=attempt)
            first.register(run)
            for number in range(3):
                received = 1_700_000_000 + 100 * attempt + number
                first.send(run, batch(1, number, shade=attempt), received)
            first.commit()
    store.objects["run/notes.tar"] = b"not a shard of ours"

    second = Bench(tmp_path / "second", store)
    async with second.running():
        await until(lambda: second.images.last_attempt("run") == 2)
        await until(
            lambda: second.commit() or len(second.index.page("run", limit=9, attempt=2)) == 3
        )
        await until(lambda: second.commit() or second.index.images("run", 1, 2))
        image = second.index.images("run", 1, 2)[0]

        assert image.location.stored
        assert second.images.reader.read(image.location) == batch(1, 2, shade=2).images[0].jpeg


async def test_an_upload_that_was_not_noted_is_noted(tmp_path, store):
    """A shard that reached the store right before the crash is not lost, nor waited for."""
    live = tmp_path / "live"
    bench = Bench(live, store)
    async with bench.running():
        bench.send(session(), batch(1, 0))
        bench.images.flush()
        bench.commit()
        await until(lambda: store.objects)
        dead = shutil.copytree(live, tmp_path / "dead")
    for file in (dead / "spool").glob("*.tar"):
        file.unlink()

    again = Bench(dead, store)
    async with again.running():
        await until(lambda: again.commit() or again.index.images("run", 1, 0)[0].location.stored)


async def test_a_shard_that_is_nowhere_is_given_up(tmp_path, store):
    """Somebody emptied the spool: the index does not keep dead links, and it is counted."""
    live = tmp_path / "live"
    bench = Bench(live, store)
    async with bench.running():
        store.gate.clear()
        bench.send(session(), batch(1, 0))
        bench.images.flush()
        bench.commit()
        dead = shutil.copytree(live, tmp_path / "dead")
        store.gate.set()
    store.objects.clear()
    shutil.rmtree(dead / "spool")

    again = Bench(dead, store)
    async with again.running():
        await until(lambda: again.commit() or again.index.batch("run", 1, 0) is None)

        assert again.metric("bridge_dropped_total", what="shard", reason="missing") == 1


async def test_foreign_files_are_left_alone(tmp_path, store):
    """Whatever else lies in the spool stays there."""
    spool = tmp_path / "bench" / "spool"
    spool.mkdir(parents=True)
    (spool / ".hidden~x.tar").write_text("x")
    (spool / "notes.txt").write_text("x")

    bench = Bench(tmp_path / "bench", store)
    async with bench.running():
        assert len(bench.spooled()) == 2


async def test_a_loss_that_was_not_reported_stays_so_in_a_new_database(tmp_path, store):
    """An index that is read back from shards distinguishes it from one that is not a number, as the first one did."""
    live = tmp_path / "live"
    bench = Bench(live, store)
    async with bench.running():
        for number, loss in enumerate((None, math.nan, 0.25)):
            bench.send(session(), batch(1, number, loss=loss))
            bench.commit()
        before = [bench.index.batch("run", 1, number).loss for number in range(3)]
        dead = shutil.copytree(live, tmp_path / "dead")
    for file in dead.glob("*.db*"):
        file.unlink()

    bench = Bench(dead, MemoryStore())
    async with bench.running():
        losses = [bench.index.batch("run", 1, number).loss for number in range(3)]

    assert repr(losses) == repr(before) == "[None, nan, 0.25]"
