"""The database file, and what becomes of one that is not as it should be."""

import math
import os
import resource
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.waiting import until_true

from bridge.errors import DatabaseLostError, SettingError, StorageError, UnwritableError
from bridge.storage.sqlite.database import SqliteDatabase


def test_only_damage_is_called_damage(tmp_path):
    """No message says to move an intact database away for a full disk, or for a folder that cannot be written to."""
    spoiled = tmp_path / "bridge.db"
    spoiled.write_bytes(b"no database" * 1_000)
    with pytest.raises(StorageError, match="move it away"):
        SqliteDatabase(spoiled)

    with pytest.raises(StorageError) as raised:
        SqliteDatabase(tmp_path / "nowhere" / "bridge.db")
    assert "move it away" not in str(raised.value)
    assert "nowhere" in str(raised.value)
    assert "set state (--state) to another folder" in str(raised.value)


def test_a_full_disk_is_called_full(tmp_path):
    """A first start says how much room it needs."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 13, limit[1]))
    try:
        with pytest.raises(StorageError, match="make room on its disk"):
            SqliteDatabase(tmp_path / "bridge.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)


def put(database, *names):
    """Commit a row for each name."""
    with database.transaction() as transaction:
        transaction.executemany(
            "INSERT INTO spans (span_id, span) VALUES (?, '')", [(name,) for name in names]
        )


def names_in(database):
    """Return the names that were put."""
    return [name for [name] in database.query("SELECT span_id FROM spans ORDER BY number")]


@pytest.fixture
def path(tmp_path):
    """Return where a database may be."""
    return tmp_path / "state" / "bridge.db"


@pytest.fixture
def database(path):
    """Return an open database with one row."""
    path.parent.mkdir()
    database = SqliteDatabase(path)
    put(database, "one")
    yield database
    database.close()


def remove(path):
    """Delete the file."""
    path.unlink()


def replace(path):
    """Put another database in its place."""
    other = path.with_name("other.db")
    SqliteDatabase(other).close()
    other.replace(path)


def move_folder(path):
    """Move the whole folder."""
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("lose", [remove, replace, move_folder])
def test_a_database_that_is_not_where_it_was_takes_nothing(database, path, lose):
    """Whatever becomes of the file while it is open, no commit succeeds that the next start would not find."""
    lose(path)

    with pytest.raises(DatabaseLostError, match="removed, moved or replaced"):
        put(database, "two")

    assert names_in(database) == ["one"]


def test_a_database_that_is_put_back_goes_on(database, path):
    """A folder that was moved by mistake costs nothing but the time."""
    away = path.parent.with_name("elsewhere")
    path.parent.rename(away)
    with pytest.raises(DatabaseLostError):
        put(database, "two")

    away.rename(path.parent)
    put(database, "three")

    assert names_in(database) == ["one", "three"]


@pytest.mark.parametrize("suffixes", [("-wal",), ("-shm",), ("-wal", "-shm")])
def test_a_log_that_is_removed_loses_no_row(database, path, tmp_path, suffixes):
    """Rows from before and after it are in the files, as a kill would leave them."""
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink()

    put(database, "two")
    put(database, "three")

    dead = shutil.copytree(path.parent, tmp_path / "dead")
    again = SqliteDatabase(dead / path.name)
    found = names_in(again)
    again.close()
    assert found == ["one", "two", "three"]


class Unlucky(SqliteDatabase):
    """Loses its log at the worst moment: between the last look at it and the commit."""

    is_due = True

    def _check_files(self, *, is_inside=False):
        super()._check_files(is_inside=is_inside)
        if is_inside and self.is_due:
            self.is_due = False
            Path(f"{self._path}-wal").unlink()


def test_a_log_that_is_removed_within_a_commit_is_noticed_by_the_next(path, tmp_path):
    """What went to it is in the files from then on."""
    path.parent.mkdir()
    database = Unlucky(path)
    put(database, "one")
    put(database, "two")

    dead = shutil.copytree(path.parent, tmp_path / "dead")
    again = SqliteDatabase(dead / path.name)
    assert names_in(again) == ["one", "two"]
    again.close()
    database.close()


def test_a_copy_of_the_files_is_a_backup(database, path, tmp_path):
    """Holding the database keeps bridges out, not those who copy its files or read it."""
    copy = shutil.copytree(path.parent, tmp_path / "copy")
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT span_id FROM spans").fetchall() == [("one",)]
    put(database, "two")

    backup = SqliteDatabase(copy / path.name)
    assert names_in(backup) == ["one"]
    backup.close()


def by_its_path(path, tmp_path):
    """Return the path itself."""
    return path


def by_a_link_to_the_folder(path, tmp_path):
    """Return a way through a symbolic link."""
    (tmp_path / "link").symlink_to(path.parent)
    return tmp_path / "link" / path.name


def by_a_link_to_the_file(path, tmp_path):
    """Return another name of the same file."""
    (tmp_path / "hard.db").hardlink_to(path)
    return tmp_path / "hard.db"


@pytest.mark.parametrize("way", [by_its_path, by_a_link_to_the_folder, by_a_link_to_the_file])
def test_nobody_else_opens_it(database, path, tmp_path, way):
    """The lock is on the file itself: no path leads around it, and nothing beside it can be removed."""
    other = way(path, tmp_path)

    with pytest.raises(SettingError, match="in use by another bridge"):
        SqliteDatabase(other)

    put(database, "two")
    assert names_in(database) == ["one", "two"]


def overwrite(path, data):
    """Write over a file in place, as cp does; its time of change is another one than that of the last commit."""
    changed = path.stat().st_mtime_ns
    until_true(lambda: path.write_bytes(data) and path.stat().st_mtime_ns != changed)


def copy_over(path, backup):
    """Bring an older copy back with cp."""
    overwrite(path, backup)


def cut_database(path, backup):
    """Cut the database short."""
    os.truncate(path, len(backup) // 2)


def empty_database(path, backup):
    """Leave nothing of it."""
    os.truncate(path, 0)


def flip_database(path, backup):
    """Change bytes of it, and not its size."""
    data = path.read_bytes()
    overwrite(path, bytes(byte ^ 0x5A for byte in data[:64]) + data[64:])


def empty_log(path, backup):
    """Leave nothing of the log."""
    os.truncate(f"{path}-wal", 0)


def cut_log(path, backup):
    """Cut the log short."""
    os.truncate(f"{path}-wal", 8_000)


def flip_log(path, backup):
    """Change bytes in the middle of it."""
    log = path.with_name(f"{path.name}-wal")
    data = bytearray(log.read_bytes())
    data[5_000:5_200] = bytes(200)
    overwrite(log, bytes(data))


def grow_log(path, backup):
    """Write behind its end."""
    with open(f"{path}-wal", "ab") as log:  # noqa: PTH123 -- one suffix more
        log.write(b"x" * 100)


SPOILS = [
    copy_over,
    cut_database,
    empty_database,
    flip_database,
    empty_log,
    cut_log,
    flip_log,
    grow_log,
]


@pytest.mark.parametrize("is_inside", [False, True])
@pytest.mark.parametrize("spoil", SPOILS)
def test_a_database_that_is_written_over_takes_nothing(path, spoil, is_inside):
    """Whatever is done to the bytes of it or of its log, no commit succeeds any more that a start would not find."""
    path.parent.mkdir()
    SqliteDatabase(path).close()
    backup = path.read_bytes()
    database = SqliteDatabase(path)
    for number in range(4):
        put(database, f"{number}")

    def commit():
        with database.transaction() as transaction:
            if is_inside:
                spoil(path, backup)
            transaction.execute("INSERT INTO spans (span_id, span) VALUES ('late', '')")

    if not is_inside:
        spoil(path, backup)
    for _ in range(3):
        with pytest.raises(DatabaseLostError, match="overwritten"):
            commit()
        is_inside = False
    log = path.with_name(f"{path.name}-wal").read_bytes()
    database.close()

    assert path.with_name(f"{path.name}-wal").read_bytes() == log, (
        "what is left is there to be looked at"
    )


def test_what_commits_and_checkpoints_do_is_not_taken_for_another_hand(path):
    """Through many rounds of the log, through refused rows and failed statements, commits succeed."""
    path.parent.mkdir()
    database = SqliteDatabase(path)
    database._writer.execute("PRAGMA wal_autocheckpoint=4")
    for number in range(100):
        put(database, f"{number}", "x" * 9_000 + f"{number}")
        with pytest.raises(UnwritableError), database.transaction() as transaction:
            transaction.execute("INSERT INTO spans (span_id, span) VALUES (?, '')", (None,))
        with pytest.raises(StorageError), database.transaction() as transaction:
            transaction.execute("INSERT INTO nothing VALUES (1)")
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("SELECT count(*) FROM spans").fetchall()
    put(database, "last")

    assert len(names_in(database)) == 201
    database.close()


UNWRITABLE = [2**63, -(2**63) - 1, 10**400, "\ud800", math.nan, None, {}, [1], 1j]


@pytest.mark.parametrize("value", UNWRITABLE, ids=ascii)
def test_a_value_that_cannot_be_written_is_left_out_with_its_row(database, value):
    """Whatever SQLite refuses costs its row; the others are committed, and the row is named."""
    rows = [("two",), (value,), ("three",)]
    insert = "INSERT INTO spans (span_id, span) VALUES (?, '')"
    with pytest.raises(UnwritableError), database.transaction() as transaction:
        transaction.executemany(insert, rows)
    assert names_in(database) == ["one"]

    refused = []
    with database.transaction(refused=refused) as transaction:
        transaction.executemany(insert, rows)

    assert names_in(database) == ["one", "two", "three"]
    assert [row.table for row in refused] == ["spans"]
