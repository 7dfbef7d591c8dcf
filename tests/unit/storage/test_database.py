"""The database file, and what becomes of one that is not as it should be."""

import sqlite3

import pytest

from bridge.errors import StorageError
from bridge.storage.database import VERSION, Database


def test_opening_again_writes_nothing(tmp_path):
    """A bridge starts on a full disk, to deliver what is there."""
    path = tmp_path / "bridge.db"
    Database(path).close()
    before = path.read_bytes()
    again = Database(path)
    written = (tmp_path / "bridge.db-wal").stat().st_size
    again.close()

    assert written == 0
    assert path.read_bytes() == before


def test_a_newer_format_is_refused(tmp_path):
    """The text says which one can read it."""
    path = tmp_path / "bridge.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()

    with pytest.raises(StorageError, match="newer trainbridge"):
        Database(path)


def test_only_damage_is_called_damage(tmp_path):
    """Nobody is told to move a good database away for a full disk, or for a folder that cannot be written to."""
    spoiled = tmp_path / "bridge.db"
    spoiled.write_bytes(b"no database" * 1_000)
    with pytest.raises(StorageError, match="move it away"):
        Database(spoiled)

    with pytest.raises(StorageError) as raised:
        Database(tmp_path / "nowhere" / "bridge.db")
    assert "move it away" not in str(raised.value)
