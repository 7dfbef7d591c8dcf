"""The one SQLite database: one writer at a time, readers beside it."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from bridge.errors import StorageError

Row = tuple[Any, ...]

VERSION = 2
"""Of the tables."""

SCHEMA = (Path(__file__).parent / "schema.sql").read_text()


WAY_OUT = (
    "If it is damaged, move it away with its -wal and -shm files and start again: "
    "the images are found again, sessions and counts are lost"
)


class Outcome(Protocol):
    """What a statement did."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""


class Transaction(Protocol):
    """What may be done inside a transaction."""

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Outcome:
        """Run one statement."""

    def executemany(self, sql: str, rows: Sequence[Sequence[object]], /) -> object:
        """Run one statement for each row."""


class Database:
    """Keeps rows in one file; every method may be called from any thread."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        """Open or create the database; not `durable`: it need not survive a power loss."""
        self._path = path
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        try:
            self._writer = _connect(path)
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
            _prepare(self._writer)
            self._reader = _connect(path)
            self._reader.execute("PRAGMA query_only=1")
        except sqlite3.Error as error:
            raise StorageError(
                f"cannot open the database {path}: {error}{_way_out(error)}"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit everything done inside, or nothing of it.

        Raises StorageError when the disk is full, read-only or failing.
        """
        with self._write_lock:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException as error:
                self._roll_back()
                if isinstance(error, sqlite3.Error):
                    raise self._refused("commit", error) from error
                raise

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Return all rows of what has been committed."""
        with self._read_lock:
            try:
                return self._reader.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                raise self._refused("query", error) from error

    @property
    def size_bytes(self) -> int:
        """How much room the database and its write-ahead log take."""
        names = (self._path, Path(f"{self._path}-wal"))
        return sum(name.stat().st_size for name in names if name.exists())

    def close(self) -> None:
        """Close both connections; nothing may be called after it."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    def _refused(self, what: str, error: sqlite3.Error) -> StorageError:
        return StorageError(f"the database {self._path} refused a {what}: {error}{_way_out(error)}")

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")


def _way_out(error: sqlite3.Error) -> str:
    """Say what to do where the file itself is damaged (SQLITE_CORRUPT, SQLITE_NOTADB), and only there."""
    return f". {WAY_OUT}" if type(error) is sqlite3.DatabaseError else ""


def _prepare(writer: sqlite3.Connection) -> None:
    """Make the tables; raises StorageError for a database of another time."""
    [version] = writer.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StorageError(
            f"the state folder was written by a newer trainbridge (format {version}, this one knows {VERSION});"
            " start that one, or give this one a state folder of its own"
        )
    if version < VERSION:
        # The format before kept sessions and traces in a way of its own. It was never released.
        writer.executescript("DROP TABLE IF EXISTS sessions; DROP TABLE IF EXISTS traces;")
        writer.executescript(SCHEMA)
        # Last, and never again: a full disk must not keep a bridge from starting.
        writer.execute(f"PRAGMA user_version = {VERSION}")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=10, cached_statements=256
    )
