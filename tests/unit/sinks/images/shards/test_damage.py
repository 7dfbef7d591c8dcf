"""Whatever has become of the spool, a bridge starts, keeps what is whole, and counts the rest."""

import asyncio
import errno
import os
import shutil

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.images import NOON, Bench, batch, candidate, members, session
from support.stores import MemoryStore
from support.waiting import until

from bridge.errors import NotFoundError
from bridge.sinks.images.reader import ImageReader
from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards import recovery
from bridge.sinks.images.shards.layout import pack
from bridge.sinks.images.shards.open_shard import batch_of
from bridge.sinks.images.shards.recovery import Recovery
from bridge.sinks.images.shards.spool import Spool
from bridge.storage.aside import DamagedFolder
from bridge.storage.index import ImageIndex, ImageLocation
from bridge.storage.packed import packed
from bridge.storage.shards import Shard, put_batches, put_shards
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry

KEY = "run/2023-11-14/1700000000000-abcd0123-000001.tar"
BATCHES = 3

LARGE_SHARD = (
    "INSERT INTO shards (shard_id, session_id, key, size_bytes, closed, stored, attempt)"
    " VALUES (:shard_id, :session_id || hex(zeroblob(100000)), :key, :size_bytes, :closed, :stored, :attempt)"
    " ON CONFLICT DO UPDATE SET"
    " session_id = excluded.session_id"
)
"""Takes more room than there is."""


class Wreck:
    """A spool with one shard, open or closed, and a database that knows of it or is new."""

    def __init__(self, folder, *, is_known, is_closed):
        """Write it."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.folder = folder
        self.telemetry = Telemetry()
        self.database = SqliteDatabase(folder / "bridge.db", durable=False)
        self.spool = Spool(folder / "spool", run_id="b", shard_bytes=1 << 20, shard_seconds=30)
        self.spool.folder.mkdir()
        self.path = self.spool.path(KEY)
        self.extents, self.rows, at = [], [], 0
        for number in range(BATCHES):
            one = candidate(1, number)
            buffers, extents = pack(one, at=at)
            shard_file.append(self.path, buffers, at=at)
            self.rows.append(batch_of(1, one, extents))
            self.extents += extents
            at = extents[-1].end
        if is_closed:
            shard_file.close(self.path, self.extents, at=at, changed_seconds=NOON)
        self.whole = self.path.read_bytes()
        with self.database.transaction() as transaction:
            if is_known:
                transaction.execute("INSERT INTO rebuilt VALUES ('spool')")
                put_shards(transaction, [Shard(1, "run", KEY, len(self.whole), closed=is_closed)])
                put_batches(transaction, self.rows)

    def recover(self):
        """Run the recovery, and return what is ready for the store."""
        aside = DamagedFolder(self.folder / "damaged", self.telemetry)
        self.recovery = Recovery(self.spool, self.database, self.telemetry, aside)
        return self.recovery.attempt()

    def images(self):
        """Return the place of each image that the index has."""
        index = ImageIndex(self.database)
        return [
            (image.location.offset, image.location.length)
            for number in range(BATCHES)
            for image in index.images("run", 1, number)
        ]

    def dropped(self, what, reason):
        """Return how many of something were counted as lost."""
        labels = {"what": what, "reason": reason}
        return self.telemetry.registry.get_sample_value("bridge_dropped_total", labels) or 0


changes = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=3)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    is_known=st.booleans(), is_closed=st.booleans(), flips=changes, cut=st.none() | st.floats(0, 1)
)
def test_damage_in_a_shard_costs_what_is_damaged(tmp_path, is_known, is_closed, flips, cut):
    """Bytes flipped anywhere, the end cut off anywhere: the start succeeds.

    Every image that no damage has touched is in the index, where it was; the others are counted; the file
    is a tar file again.
    """
    wreck = Wreck(tmp_path / "wreck", is_known=is_known, is_closed=is_closed)
    data = bytearray(wreck.whole)
    places = {min(int(part * len(data)), len(data) - 1) for part, _ in flips}
    for place, (_, change) in zip(places, flips, strict=False):
        data[place] ^= change
    end = len(data) if cut is None else int(cut * len(data))
    wreck.path.write_bytes(data[:end])
    begins = [0, *(extent.end for extent in wreck.extents[:-1])]
    untouched = [
        (extent.offset, extent.length)
        for begin, extent in zip(begins, wreck.extents, strict=True)
        if extent.end <= end and not any(begin <= place < extent.end for place in places)
    ]

    try:
        ready = wreck.recover()
        found = wreck.images()
        assert wreck.recovery.is_finished
        assert set(untouched) <= set(found)
        assert [shard.key for shard in ready] == ([KEY] if found or ready else [])
        if is_known and len(found) < len(wreck.extents):
            assert wreck.dropped("image", "damaged") == len(wreck.extents) - len(found)
        if ready and not (is_known and is_closed):
            names = members(wreck.path.read_bytes())
            # One whose JSON is JSON still, though not ours, stays in the file.
            assert len([name for name in names if name.endswith(".jpg")]) >= len(found)
    finally:
        wreck.database.close()


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    number=st.integers(0, 99),
    part=st.floats(0, 0.999),
    change=st.integers(1, 255),
    is_known=st.booleans(),
    is_closed=st.booleans(),
)
def test_one_byte_of_an_image_is_enough(tmp_path, number, part, change, is_known, is_closed):
    """Wherever in its JPEG it is: what a start does not count as damaged is byte for byte what was sent.

    Of a shard that was open and that a new database does not know, the end may just as well be torn.
    """
    assume(is_known or is_closed or number % (BATCHES * 2) < BATCHES)
    wreck = Wreck(tmp_path / "wreck", is_known=is_known, is_closed=is_closed)
    extent = wreck.extents[number % len(wreck.extents)]
    data = bytearray(wreck.whole)
    data[extent.offset + int(part * extent.length)] ^= change
    wreck.path.write_bytes(data)
    others = [(one.offset, one.length) for one in wreck.extents if one is not extent]
    try:
        wreck.recover()

        assert wreck.images() == others
        assert wreck.dropped("image", "damaged") == 1
        assert [path.read_bytes() for path in (wreck.folder / "damaged").iterdir()] == [bytes(data)]
        trailer = shard_file.trailer_of(wreck.path)
        assert shard_file.index_of(wreck.path, trailer).count(b"\n") == len(others)
        size = wreck.path.stat().st_size
        assert wreck.database.query("SELECT size_bytes FROM shards") == [(size,)]
    finally:
        wreck.database.close()


def test_a_start_reads_so_much_of_closed_shards_and_no_more(tmp_path, monkeypatch):
    """A large spool does not hold it up; an image that it has not read is looked at before it is shown."""
    monkeypatch.setattr(recovery, "CHECK_BYTES", 100)
    wreck = Wreck(tmp_path / "wreck", is_known=True, is_closed=True)
    extent, other = wreck.extents[:2]
    data = bytearray(wreck.whole)
    data[extent.offset + 50] ^= 1
    wreck.path.write_bytes(data)
    reader = ImageReader(wreck.spool.path, MemoryStore())

    wreck.recover()

    assert len(wreck.images()) == len(wreck.extents)
    with pytest.raises(NotFoundError, match="damaged"):
        reader.read(ImageLocation(KEY, stored=False, offset=extent.offset, length=extent.length))
    jpeg = reader.read(ImageLocation(KEY, stored=False, offset=other.offset, length=other.length))
    assert jpeg == wreck.whole[other.offset : other.offset + other.length]
    wreck.database.close()


@pytest.mark.parametrize("spoil", [bytes, b"<html>".ljust])
def test_what_a_store_has_of_an_image_is_looked_at(tmp_path, spoil):
    """Browsers would keep for a year what is not a picture."""
    store = MemoryStore()
    store.objects[KEY] = spoil(1000)
    reader = ImageReader(lambda _: tmp_path / "none", store)

    with pytest.raises(NotFoundError, match="damaged"):
        reader.read(ImageLocation(KEY, stored=True, offset=10, length=500))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(is_known=st.booleans(), garbage=st.binary(max_size=3000) | st.just(bytes(5000)))
def test_a_shard_of_garbage_is_set_aside(tmp_path, is_known, garbage):
    """What has no image is out of the way, though not gone, and counted; images of it are no dead links."""
    wreck = Wreck(tmp_path / "wreck", is_known=is_known, is_closed=False)
    wreck.path.write_bytes(garbage)
    try:
        assert wreck.recover() == []
        assert wreck.images() == []
        assert not wreck.path.exists()
        kept = [path.read_bytes() for path in (wreck.folder / "damaged").glob("*")]
        assert kept == ([garbage] if garbage else [])
        assert wreck.dropped("shard", "damaged") == (1 if garbage or is_known else 0)
        assert wreck.dropped("image", "damaged") == (len(wreck.extents) if is_known else 0)
    finally:
        wreck.database.close()


def a_folder(path):
    """Put a folder there."""
    path.mkdir()
    (path / "something").touch()


def a_pipe(path):
    """Put a pipe there, which whoever opens waits for."""
    os.mkfifo(path)


def a_loop(path):
    """Put a link to itself there."""
    path.symlink_to(path)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("put", [a_folder, a_pipe, a_loop])
def test_what_is_not_a_file_stops_no_start(tmp_path, put, is_known):
    """A folder, a pipe or a link in place of a shard costs the shard."""
    wreck = Wreck(tmp_path / "wreck", is_known=is_known, is_closed=False)
    wreck.path.unlink()
    put(wreck.path)
    try:
        assert wreck.recover() == []
        assert wreck.images() == []
        assert wreck.dropped("shard", "missing") == is_known
        assert wreck.dropped("image", "missing") == (len(wreck.extents) if is_known else 0)
    finally:
        wreck.database.close()


@pytest.mark.parametrize("refuses", ["file", "database"])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_recovery_that_the_disk_refuses_is_tried_again(tmp_path, monkeypatch, is_known, refuses):
    """Started on a full disk, the bridge runs; with room the shard is closed as if nothing had been."""
    wreck = Wreck(tmp_path / "wreck", is_known=is_known, is_closed=False)

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        if refuses == "file":
            disk.setattr(shard_file, "append", full)
        else:
            [[pages]] = wreck.database.query("PRAGMA page_count")
            wreck.database._writer.execute(f"PRAGMA max_page_count={pages}")
            disk.setattr("bridge.storage.shards.PUT_SHARD", LARGE_SHARD)
        assert wreck.recover() == []
        assert not wreck.recovery.is_finished
        assert wreck.path.exists()
        assert not (wreck.folder / "damaged").exists()
    wreck.database._writer.execute("PRAGMA max_page_count=1000000")
    [shard] = wreck.recovery.attempt()

    assert wreck.recovery.is_finished
    assert shard.key == KEY
    assert len(wreck.images()) == len(wreck.extents)
    assert wreck.dropped("image", "damaged") == 0
    wreck.database.close()


def test_a_shard_newer_than_the_database_is_kept(tmp_path):
    """A database that was brought back from a copy does not delete what was spooled since."""
    wreck = Wreck(tmp_path / "wreck", is_known=True, is_closed=True)
    with wreck.database.transaction() as transaction:
        transaction.execute("DELETE FROM shards")

    assert wreck.recover() == []

    [kept] = (wreck.folder / "damaged").iterdir()
    assert kept.read_bytes() == wreck.whole
    wreck.database.close()


def test_the_damaged_folder_is_bounded(tmp_path):
    """Of more than it takes the oldest goes, and one that is too large stays where it is."""
    aside = DamagedFolder(tmp_path / "damaged", Telemetry(), files=3, total_bytes=100)
    for number in range(5):
        file = tmp_path / f"{number}.tar"
        file.write_bytes(bytes([number]) * 40)
        assert aside.move(file, "a test")
    large = tmp_path / "large.tar"
    large.write_bytes(bytes(101))

    assert not aside.move(large, "a test")
    assert sorted(path.read_bytes()[0] for path in (tmp_path / "damaged").iterdir()) == [3, 4]


async def test_a_spool_that_is_removed_is_made_anew(tmp_path):
    """Images go on being kept; what was lost with it is counted, and leaves no dead link."""
    store = MemoryStore()
    bench = Bench(tmp_path / "bench", store)
    async with bench.running():
        bench.send(session(), batch(1, 0))
        bench.commit()
        shutil.rmtree(bench.spool)
        bench.send(session(), batch(1, 1))
        bench.commit()
        [image, _] = bench.index.images("run", 1, 1)
        assert bench.images.reader.read(image.location) == batch(1, 1).images[0].jpeg
        assert bench.index.images("run", 1, 0) == []
        await until(lambda: bench.commit() or bench.metric("bridge_spool_remade_total") == 1)
        await until(lambda: bench.metric("bridge_spool_up") == 1)
        assert bench.images.problem() == ""
        assert bench.metric("bridge_dropped_total", what="shard", reason="missing") == 1
        assert bench.metric("bridge_dropped_total", what="image", reason="missing") == 2
        bench.books()


async def test_a_spool_that_is_removed_is_made_anew_before_any_image_comes(tmp_path):
    """It is looked after all the time."""
    bench = Bench(tmp_path / "bench", MemoryStore())
    async with bench.running():
        bench.spool.rmdir()
        await until(lambda: bench.commit() or bench.spool.is_dir())
        await until(lambda: bench.metric("bridge_spool_remade_total") == 1)


async def test_a_spool_that_cannot_be_made_is_a_problem_until_it_can(tmp_path):
    """With a file in its place images are dropped and counted, and the bridge says that it is not well."""
    bench = Bench(tmp_path / "bench", MemoryStore())
    async with bench.running():
        bench.spool.rmdir()
        bench.spool.touch()
        await until(lambda: "not a folder" in bench.images.problem())
        assert bench.metric("bridge_spool_up") == 0
        bench.send(session(), batch(1, 0))
        bench.commit()
        assert bench.books()["dropped"] == 2

        bench.spool.unlink()
        await until(lambda: bench.commit() or not bench.images.problem())
        bench.send(session(), batch(1, 1))
        bench.commit()
        assert bench.books()["stored"] == 2


async def test_a_spool_is_not_made_where_its_folder_was_moved_away(tmp_path):
    """A state folder that comes back finds its place free."""
    bench = Bench(tmp_path / "bench", MemoryStore())
    async with bench.running():
        (tmp_path / "bench").rename(tmp_path / "elsewhere")
        await until(lambda: "missing" in bench.images.problem())
        bench.images._spool.write([*bench.images._operations])
        assert not (tmp_path / "bench").exists()
        (tmp_path / "elsewhere").rename(tmp_path / "bench")
        await until(lambda: bench.commit() or not bench.images.problem())


def remove(path):
    """Delete it."""
    path.unlink()


def cut_short(path):
    """Cut it off in the middle."""
    with path.open("r+b") as file:
        file.truncate(700)


def replace(path):
    """Put another file of the same size in its place."""
    other = path.with_name("other")
    other.write_bytes(bytes(path.stat().st_size))
    other.replace(path)


@pytest.mark.parametrize("more", [True, False], ids=["more-comes", "it-is-closed"])
@pytest.mark.parametrize("spoil", [remove, cut_short, replace])
async def test_an_open_shard_that_is_not_what_it_was_is_given_up(tmp_path, spoil, more):
    """Its images are counted as lost and no dead links; what comes next is in a new one, whole."""
    store = MemoryStore()
    bench = Bench(tmp_path / "bench", store)
    async with bench.running():
        bench.send(session(), batch(1, 0))
        bench.commit()
        [file] = bench.spooled()
        spoil(file)
        if more:
            bench.send(session(), batch(1, 1))
            bench.commit()
        bench.images.flush()
        bench.commit()
        await until(lambda: bench.commit() or len(store.objects) == more)
        images = bench.index.images("run", 1, 1)
        assert [bench.images.reader.read(image.location) for image in images] == (
            [image.jpeg for image in batch(1, 1).images] if more else []
        )
        assert bench.index.images("run", 1, 0) == []
        assert bench.metric("bridge_dropped_total", what="shard", reason="missing") == 1
        assert bench.metric("bridge_dropped_total", what="image", reason="missing") == 2
        await until(lambda: bench.commit() or bench.metric("bridge_spool_bytes") == 0)


async def test_an_image_that_no_shard_can_hold_costs_itself(tmp_path):
    """A value that only shows to be wrong while it is written stops no commit."""
    bench = Bench(tmp_path / "bench", MemoryStore())
    async with bench.running():
        bench.send(session(), batch(1, "two"))
        bench.send(session(), batch(1, 1))
        bench.send(session("far"), batch(1, 1), received=1e13)
        bench.commit()

        assert len(bench.index.images("run", 1, 1)) == 2
        assert bench.metric("bridge_dropped_total", what="image", reason="unwritable") == 4
        bench.books()


held = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=12,
)
snapshots = st.builds(
    lambda place, value: [
        value if number == place else part for number, part in enumerate(candidate(1, 7).snapshot())
    ],
    st.integers(0, 6),
    held,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(state=(snapshots | held).map(packed) | st.binary(max_size=50) | st.just("text"))
def test_a_damaged_window_costs_itself(tmp_path, state):
    """Whatever is held of a window, the start succeeds, and what comes next is kept and committed."""

    async def start():
        shutil.rmtree(tmp_path / "bench", ignore_errors=True)
        bench = Bench(tmp_path / "bench", MemoryStore())
        with bench.database.transaction() as transaction:
            transaction.execute("INSERT INTO windows VALUES ('run', ?)", (state,))
        async with bench.running():
            bench.images.resume([session()])
            bench.send(session(), batch(1, 0))
            bench.commit()
            assert len(bench.index.images("run", 1, 0)) == 2

    asyncio.run(start())


@pytest.mark.parametrize("shard_id", [2**63 - 1, 2**62, 10**18 + 1, -(2**63)])
def test_a_damaged_number_of_a_shard_leaves_room_for_the_next(tmp_path, shard_id):
    """What comes behind it gets a number that the database can hold."""
    wreck = Wreck(tmp_path / "wreck", is_known=True, is_closed=True)
    with wreck.database.transaction() as transaction:
        put_shards(transaction, [Shard(shard_id, "run", "run/2023-11-14/x.tar", 1, closed=True)])

    wreck.recover()

    assert wreck.spool.allocate_id() == 2
    wreck.database.close()
