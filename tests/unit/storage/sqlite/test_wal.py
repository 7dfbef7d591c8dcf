"""The write-ahead log of a bridge that stopped: what is damaged in it is not lost without a word."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.storage.sqlite.database import SqliteDatabase
from bridge.storage.sqlite.wal import FRAME, HEADER, PAGE_BYTES, damage_of

COMMITS = 12
STEP = FRAME.size + PAGE_BYTES


def put(database, *names):
    """Commit a row for each name, in one transaction."""
    with database.transaction() as transaction:
        transaction.executemany(
            "INSERT INTO spans (span_id, span) VALUES (?, '')", [(n,) for n in names]
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the files of a database as a kill leaves them, with so many commits in its log."""
    folder = tmp_path_factory.mktemp("whole")
    database = SqliteDatabase(folder / "bridge.db")
    with closing(sqlite3.connect(folder / "bridge.db")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    database = SqliteDatabase(folder / "bridge.db")
    for number in range(COMMITS):
        put(database, f"{number}")
    dead = shutil.copytree(folder, folder.with_name("dead"))
    database.close()
    return dead


@pytest.fixture
def path(whole, tmp_path):
    """Return a copy of that database."""
    return shutil.copytree(whole, tmp_path / "state") / "bridge.db"


def log_of(path):
    """Return the log of a database."""
    return Path(f"{path}-wal")


def flip(path, at, count=1):
    """Change bytes of the log."""
    data = bytearray(log_of(path).read_bytes())
    for offset in range(at, at + count):
        data[offset] ^= 0x5A
    log_of(path).write_bytes(data)


def opened(path):
    """Return the rows that a start finds, and the commits that it calls damaged."""
    reported = []
    database = SqliteDatabase(
        path, log_damaged=lambda log, commits: reported.append((log.read_bytes(), commits))
    )
    names = [name for [name] in database.query("SELECT span_id FROM spans ORDER BY number")]
    database.close()
    return names, reported


def frames_in(path):
    """Count the frames of the log."""
    return (log_of(path).stat().st_size - HEADER.size) // STEP


def test_a_whole_log_is_not_damage(path):
    """All is found, nothing is reported."""
    assert damage_of(path) is None
    assert opened(path) == ([f"{n}" for n in range(COMMITS)], [])


@pytest.mark.parametrize("within", [0, 5, 9, 17, 24, 30, 2_000, STEP - 1])
@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.7])
def test_every_commit_behind_damage_is_counted(path, part, within):
    """What is found and what is called lost make all; the log is as it was when it is reported.

    A frame whose own header is damaged does not say whether it ends a commit.
    """
    frame = int(part * frames_in(path))
    flip(path, HEADER.size + frame * STEP + within)
    spoiled = log_of(path).read_bytes()

    names, reported = opened(path)

    assert names == [f"{n}" for n in range(len(names))]
    [(log, commits)] = reported
    unsure = 1 if within < FRAME.size else 0
    assert log == spoiled
    assert commits >= 1
    assert abs(len(names) + commits - COMMITS) <= unsure
    assert opened(path) == (names, []), "it is reported once"


@pytest.mark.parametrize("at", range(0, HEADER.size, 3))
def test_a_damaged_header_costs_all_that_is_in_the_log(path, at):
    """SQLite takes such a log for an empty one; we do not."""
    flip(path, at)

    names, reported = opened(path)

    assert names == []
    assert [commits for _, commits in reported] == [COMMITS]


def as_after_a_power_loss(path):
    """Take away the index, which is not kept on disk; what it said of the log is not known then."""
    Path(f"{path}-shm").unlink()


CUTS = [1, FRAME.size, PAGE_BYTES, STEP, STEP + 1, 5 * STEP, 10**9]


@pytest.mark.parametrize("cut", CUTS)
def test_a_torn_end_is_not_damage(path, cut):
    """A power loss breaks off the last transaction, which was not acknowledged, anywhere."""
    as_after_a_power_loss(path)
    os.truncate(log_of(path), max(0, log_of(path).stat().st_size - cut))

    names, reported = opened(path)

    assert reported == []
    assert names == [f"{n}" for n in range(len(names))]


@pytest.mark.parametrize("cut", CUTS)
def test_a_log_that_is_cut_after_a_kill_is_damaged(path, cut):
    """The index says that there was more; how many commits nobody can tell."""
    os.truncate(log_of(path), max(0, log_of(path).stat().st_size - cut))

    names, reported = opened(path)

    assert [commits for _, commits in reported] == [1]
    assert names == [f"{n}" for n in range(len(names))]
    assert opened(path) == (names, []), "it is reported once"


def test_a_log_that_is_removed_after_a_kill_is_damage(path):
    """As one that is cut."""
    log_of(path).unlink()

    assert damage_of(path).commits == 1
    assert SqliteDatabase(path).close() is None


@pytest.mark.parametrize("within", [0, 9, 17, 2_000])
def test_a_torn_last_frame_is_not_damage_after_a_power_loss(path, within):
    """It may be what was on disk of it; after a kill the index knows that it was whole."""
    flip(path, log_of(path).stat().st_size - STEP + within)
    assert damage_of(path).commits == 1

    as_after_a_power_loss(path)
    assert opened(path)[1] == []


@pytest.mark.parametrize("size", [0, 20, 47, 48, 96, 99])
def test_an_index_that_is_damaged_says_nothing(path, size):
    """Cut short or flipped, it makes no damage of a log that is whole."""
    os.truncate(f"{path}-shm", size)

    assert damage_of(path) is None


@pytest.mark.parametrize("at", range(0, 48, 5))
def test_an_index_with_a_flipped_byte_says_nothing(path, at):
    """Both of its copies would have to agree, and with their checksum."""
    index = Path(f"{path}-shm")
    data = bytearray(index.read_bytes())
    data[at] ^= 0x5A
    data[at + 48] ^= 0x5A
    index.write_bytes(data)

    assert damage_of(path) is None


def test_what_was_in_the_log_before_it_began_anew_is_not_damage(tmp_path):
    """SQLite writes over the frames that the database has, and leaves the rest of them behind the new ones."""
    folder = tmp_path / "state"
    folder.mkdir()
    database = SqliteDatabase(folder / "bridge.db")
    for number in range(5):
        put(database, f"{number}")
    with closing(sqlite3.connect(folder / "bridge.db")) as other:
        other.execute("PRAGMA wal_checkpoint(RESTART)")
    database._files.written()
    put(database, "new")
    dead = shutil.copytree(folder, tmp_path / "dead") / "bridge.db"
    database.close()

    assert opened(dead) == (["0", "1", "2", "3", "4", "new"], [])


@pytest.mark.parametrize("at", [5, HEADER.size + 100, HEADER.size + 4 * STEP + 100])
def test_damage_to_what_the_database_has_already_costs_nothing_of_it(tmp_path, at):
    """What is left of the log is older than the database, and must not be read over it."""
    folder = tmp_path / "state"
    folder.mkdir()
    database = SqliteDatabase(folder / "bridge.db")
    for number in range(5):
        put(database, f"{number}")
    with closing(sqlite3.connect(folder / "bridge.db")) as other:
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")
    dead = shutil.copytree(folder, tmp_path / "dead") / "bridge.db"
    database.close()
    flip(dead, at)

    names, _ = opened(dead)

    assert names == ["0", "1", "2", "3", "4"]
