"""A bridge whose database is gone, or no longer one."""

import re
import signal
import sqlite3
import urllib.error
from contextlib import closing
from pathlib import Path

import pytest
from support import crashing_bridge
from support.bridges import launched, running_bridge
from support.checks import check_log
from support.known_run import KnownRun
from support.raw_client import RawClient
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire

FLAGS = ("--images-keep", "all")
STORED = KnownRun("stored", epoch_batches=20)
SPOOLED = KnownRun("spooled", epoch_batches=1000)
BATCHES = 50
EXIT_SECONDS = 30

BATCH_ROWS = (
    "SELECT session_id, epoch, batch, received_ms, loss, images FROM batches ORDER BY 1, 2, 3"
)
IMAGE_ROWS = (
    "SELECT images.session_id, epoch, batch, position, key, offset, length, predicted_class,"
    " confidence, true_class, received_ms FROM images JOIN shards USING (shard_id)"
    " ORDER BY 1, 2, 3, 4"
)


def rows(state):
    """Return the whole image index, from the database itself."""
    with closing(sqlite3.connect(state / "trainbridge.db", timeout=60)) as database:
        return [database.execute(sql).fetchall() for sql in (BATCH_ROWS, IMAGE_ROWS)]


def fill(state):
    """Leave one session's images in the store, and another's in a shard that was never closed."""
    with running_bridge(state, *FLAGS) as bridge:
        for run in (STORED, SPOOLED):
            with RawClient(bridge.grpc, run) as client:
                client.start()
                client.stream(*run.requests(1, BATCHES))
                if run is STORED:
                    client.stream(run.status(wire.COMPLETED))
        until_true(lambda: len(list(state.glob("images/stored/**/*.tar"))) >= 3)
        bridge.stop(signal.SIGKILL)
    assert list(state.glob("spool/spooled*.tar"))


def remove_database(state):
    """Delete the database, with all that belongs to it."""
    for file in state.glob("trainbridge.db*"):
        file.unlink()


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_the_index_of_a_lost_database_is_rebuilt(tmp_path, twice):
    """From the shards in spool and store, row for row as it was; each image can be read again."""
    state = tmp_path / "state"
    fill(state)
    before = rows(state)
    assert [len(part) for part in before] == [2 * BATCHES, 2 * BATCHES * STORED.samples]
    remove_database(state)
    if twice:
        with running_bridge(state, *FLAGS) as bridge:
            until_true(lambda: rows(state) == before)
            assert bridge.stop() == 0
        remove_database(state)

    with running_bridge(state, *FLAGS) as bridge:
        until_true(lambda: len(rows(state)[1]) >= len(before[1]), what="the index is read back")
        assert rows(state) == before
        for run in (STORED, SPOOLED):
            with RawClient(bridge.grpc, run) as client:
                client.start()
            check_pictures(bridge, run)
        check_log(bridge)


def test_a_rebuild_that_was_cut_off_goes_on(tmp_path):
    """A bridge that dies while it reads the index back reads the rest with its next start."""
    state = tmp_path / "state"
    fill(state)
    before = rows(state)
    remove_database(state)
    program = (str(Path(crashing_bridge.__file__)), "before", "2")
    with launched(state, *FLAGS, program=program) as launch:
        until_true(lambda: launch.process.poll() is not None, seconds=EXIT_SECONDS)
    assert len(rows(state)[1]) < len(before[1]), "it was to die in the middle"

    with running_bridge(state, *FLAGS) as bridge:
        until_true(lambda: len(rows(state)[1]) >= len(before[1]), what="the index is read back")
        assert rows(state) == before
        check_log(bridge)


def check_pictures(bridge, run):
    """Every image is served byte for byte."""
    client = bridge.client
    for number in range(1, BATCHES + 1):
        for position, image in enumerate(run.images(number)):
            assert client.image(run.session_id, *run.place(number), position) == image


def garbage(database):
    """Write something else over the whole file."""
    database.write_bytes(b"this was a database once\n" * 4_000)


def cut_short(database):
    """Lose the second half, as a copy that was broken off."""
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.truncate(size // 2 // 4096 * 4096)


def holes(database):
    """Lose every page but the first, as a disk that forgets."""
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


@pytest.mark.parametrize("spoil", [garbage, cut_short, holes])
def test_a_spoiled_database_is_named(tmp_path, spoil):
    """The bridge refuses to start, says which file it is and what to do, and touches nothing."""
    state = tmp_path / "state"
    fill(state)
    rows(state)  # a reader that leaves last has SQLite write everything into the one file
    for log in state.glob("trainbridge.db-*"):
        log.unlink()
    database = state / "trainbridge.db"
    spoil(database)
    shards = sorted(state.glob("**/*.tar"))

    with launched(state, *FLAGS) as launch:
        before = launch.log.stat().st_size
        status = launch.process.wait(EXIT_SECONDS)

    said = launch.log.read_bytes()[before:].decode()
    assert status == 1, said
    assert str(database) in said
    assert re.search(r"\b(move|delete|remove|restore)\b", said), said
    assert "Traceback" not in said
    assert sorted(state.glob("**/*.tar")) == shards


def acknowledged(state, batches):
    """Have a bridge acknowledge batches of a run, and kill it; return how large the log was then."""
    with running_bridge(state) as bridge:
        with RawClient(bridge.grpc, STORED) as client:
            client.start()
            for first in range(1, batches, 10):
                client.stream(*STORED.requests(first, first + 9))
        bridge.stop(signal.SIGKILL)
    return (state / "trainbridge.db-wal").stat().st_size


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6])
def test_commits_lost_to_a_damaged_log_are_counted(tmp_path, part):
    """A start says how many, keeps the log as it was, and goes on with the rest; the next start has nothing to say."""
    state = tmp_path / "state"
    size = acknowledged(state, BATCHES)
    log = state / "trainbridge.db-wal"
    data = bytearray(log.read_bytes())
    data[int(part * size) + 5] ^= 0x5A
    log.write_bytes(data)

    with running_bridge(state) as bridge:
        assert bridge.total("bridge_dropped_total", what="commit", reason="damaged") >= 1
        [kept] = (state / "damaged").iterdir()
        assert kept.read_bytes() == bytes(data)
        assert "in the write-ahead log are damaged" in bridge.log.read_text()
        assert bridge.stop() == 0
    with running_bridge(state) as bridge:
        assert bridge.total("bridge_dropped_total", what="commit") == 0


def test_a_kill_damages_no_log(tmp_path):
    """All is there, and nothing is called damaged."""
    state = tmp_path / "state"
    acknowledged(state, BATCHES)

    with running_bridge(state) as bridge:
        assert bridge.total("training_batches_total") == BATCHES
        assert bridge.total("bridge_dropped_total") == 0


@pytest.mark.parametrize("what", ["", "-wal"])
@pytest.mark.parametrize("way", ["emptied", "overwritten"])
def test_no_ack_comes_from_a_database_that_was_written_over(tmp_path, what, way):
    """In place, so that it is the same file still: the bridge is not ready, says why, and acknowledges nothing."""
    state = tmp_path / "state"
    with running_bridge(state) as bridge, RawClient(bridge.grpc, STORED) as client:
        client.start()
        client.stream(*STORED.requests(1, 10))
        file = state / f"trainbridge.db{what}"
        data = b"" if way == "emptied" else file.read_bytes()[::-1]
        file.write_bytes(data)
        client.say(*STORED.requests(11, 20))
        client.send_new()
        until_true(lambda: b"overwritten" in readiness(bridge))
        assert client.acknowledged <= 10
        bridge.stop(signal.SIGKILL)


def readiness(bridge):
    """Return the text of /readyz, whatever its status."""
    try:
        return bridge.get("/readyz")
    except urllib.error.HTTPError as error:
        with error:
            return error.read()
