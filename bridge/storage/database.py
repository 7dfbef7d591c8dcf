"""The one SQLite database: one writer at a time, readers beside it, and no second bridge."""

import fcntl
import logging
import os
import re
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bridge.errors import DatabaseLostError, SettingError, StorageError, UnwritableError
from bridge.storage.folder import open_file
from bridge.storage.migrations import MIGRATIONS, VERSION, missing_tables, statements
from bridge.storage.wal import damage_of

log = logging.getLogger("bridge")

Row = tuple[Any, ...]

Found = tuple[int, int, int, int]
"""Device, inode, size, and when it was last written to, in nanoseconds; the first two are the same for the same file."""

SCHEMA = (Path(__file__).parent / "schema.sql").read_text()

PAGE_BYTES = 4096
"""Of SQLite, unless it is built otherwise."""

WAL_PAGES = (16, 1000)
"""The write-ahead log is copied into the database when it has so many pages, by the size of the disk."""

WAL_PART = 64
"""Of the disk: what waits in the log of a full disk must find room in the database, or both are stuck."""

WAY_OUT = (
    "If it is damaged, move it away with its -wal and -shm files and start again: "
    "the images are found again, sessions and counts are lost"
)

REFUSALS = (
    OverflowError,
    UnicodeEncodeError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""What sqlite3 raises for a value that it cannot hold: the same row is refused again, the others are not."""

OVERWRITTEN = (
    "the database {} or its write-ahead log was overwritten, cut short or written to by something else while the"
    " bridge runs: nothing is acknowledged any more. Put a sound one in its place, and start the bridge again"
)

SHARED_LOCK = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, 0x40000002, 510, 0)
"""Where every connection of SQLite has a lock while it is open (sqlite.org/lockingv3.html)."""

NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)

TABLE = re.compile(r"\b(?:INTO|UPDATE|FROM)\s+(\w+)")


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


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that the database cannot hold."""

    table: str
    error: str


@dataclass(frozen=True, slots=True)
class NothingDone:
    """The outcome of a statement that was refused."""

    rowcount: int = 0


class RowByRow:
    """A transaction that leaves out what the database cannot hold, and keeps a list of it."""

    def __init__(self, connection: sqlite3.Connection, refused: list[RefusedRow]) -> None:
        """Write to `connection`, and add to `refused`."""
        self._connection = connection
        self._refused = refused

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Outcome:
        """Run one statement; where its values are refused it does nothing.

        Raises StorageError where it is the disk that refuses: then the whole transaction must end.
        """
        try:
            return self._connection.execute(sql, parameters)
        except REFUSALS as error:
            table = TABLE.search(sql)
            self._refused.append(RefusedRow(table[1] if table else "unknown", repr(error)))
            return NothingDone()
        except sqlite3.Error as error:
            raise StorageError(f"the database refused a statement: {error}") from error

    def executemany(self, sql: str, rows: Sequence[Sequence[object]], /) -> object:
        """Run one statement for each row, and leave out those that are refused."""
        for row in rows:
            self.execute(sql, row)
        return None


class Database:
    """Keeps rows in one file, held for as long as it is open; every method may be called from any thread."""

    def __init__(
        self,
        path: Path,
        *,
        durable: bool = True,
        log_damaged: Callable[[Path, int], object] = lambda _log, _commits: None,
    ) -> None:
        """Open or create the database; not `durable`: it need not survive a power loss.

        `log_damaged` is called where commits in its write-ahead log cannot be read, with the log as it was
        found and the number of these commits, before anything of it changes.

        Raises SettingError when another bridge holds it, StorageError when it cannot be opened.
        """
        self._path = path
        self._log, self._index = f"{path}-wal", f"{path}-shm"
        self._durable = durable
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        # POSIX drops a process's locks on a file, SQLite's too, when it closes any descriptor of it: this
        # one is opened before SQLite's and closed after them.
        self._held = _hold(path)
        try:
            _look_over_log(path, log_damaged)
            self._connect()
        except BaseException:
            os.close(self._held)
            raise

    @contextmanager
    def transaction(self, *, refused: list[RefusedRow] | None = None) -> Iterator[Transaction]:
        """Commit everything done inside, or nothing of it.

        With `refused`, rows that the database cannot hold are left out and added to it.

        Raises UnwritableError for such a row otherwise, DatabaseLostError when the file is no longer
        where or as the last commit left it, StorageError when the disk is full, read-only or failing.
        """
        with self._write_lock:
            self._check_files()
            is_ours = False
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer if refused is None else RowByRow(self._writer, refused)
                self._check_files(is_inside=True)
                is_ours = True
                self._writer.execute("COMMIT")
                self._written = self._found()
            except BaseException as error:
                is_ours = is_ours or self._found() == self._written
                self._roll_back()
                if isinstance(error, REFUSALS):
                    raise UnwritableError(
                        f"the database {self._path} cannot hold a value: {error}"
                    ) from error
                cause = error.__cause__ if isinstance(error, StorageError) else error
                if isinstance(cause, sqlite3.Error):
                    self._make_room(cause)
                if is_ours:
                    self._written = self._found()
                if isinstance(error, sqlite3.Error):
                    raise self._refused("commit", error) from error
                raise

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Return all rows of what has been committed."""
        with self._read_lock:
            try:
                return self._reader.execute(sql, parameters).fetchall()
            except (sqlite3.Error, OverflowError, UnicodeError) as error:
                raise self._refused("query", error) from error

    @property
    def size_bytes(self) -> int:
        """How much room the database and its write-ahead log take."""
        names = (self._path, Path(f"{self._path}-wal"))
        return sum(name.stat().st_size for name in names if name.exists())

    def close(self) -> None:
        """Close both connections; nothing may be called after it, but this again, which does nothing."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()
            held, self._held = self._held, -1
            if held >= 0:  # the number may be another file's by now
                os.close(held)

    def _connect(self) -> None:
        opened: list[sqlite3.Connection] = []
        try:
            self._writer = _connection(self._path, opened)
            _check_version(self._writer)
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'OFF'}")
            # Until it commits a transaction writes nothing: what changes meanwhile is not from here.
            self._writer.execute("PRAGMA cache_spill=OFF")
            # Its room is kept for the next rows: a disk that others have filled meanwhile goes on taking them.
            self._writer.execute(f"PRAGMA wal_autocheckpoint={_wal_pages(self._path.parent)}")
            _prepare(self._writer, self._path)
            self._reader = _connection(self._path, opened)
            # A text that is damaged costs its row, not the whole answer.
            self._reader.text_factory = _text
            self._reader.execute("PRAGMA query_only=1")
            # It opens its files now: pages are served also when these are removed later.
            self._reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException as error:
            for connection in opened:
                connection.close()
            if isinstance(error, sqlite3.Error):
                raise StorageError(
                    f"cannot open the database {self._path}: {error}{_way_out(error)}"
                ) from error
            raise
        self._log_identity = _identity(_found(self._log))
        self._index_identity = _identity(_found(self._index))
        self._written = self._found()

    def _found(self) -> tuple[Found | None, Found | None]:
        """Return what shows whether the database and its log are as the last commit has left them."""
        return _found(self._path), _found(self._log)

    def _check_files(self, *, is_inside: bool = False) -> None:
        """Look whether what is written still goes to the files that the next start will read.

        A log that somebody removed is no loss yet: what is in it goes to the database, and a new one
        is made. Raises DatabaseLostError when it is the database that was removed or replaced, or when
        either was written to by something else.
        """
        database, log_file = self._found()
        if _identity(database) != _identity(_found(self._held)):
            raise DatabaseLostError(
                f"the database {self._path} was removed, moved or replaced while the bridge runs: nothing is"
                " acknowledged any more. Put it back, or start the bridge again"
            )
        known, known_log = self._written
        is_same_log = _identity(log_file) == self._log_identity
        if database != known or (is_same_log and log_file != known_log):
            raise self._overwritten()
        if is_same_log and _identity(_found(self._index)) == self._index_identity:
            return
        if is_inside:
            raise StorageError(f"the write-ahead log of {self._path} was removed; it is made anew")
        log.warning(
            "the write-ahead log was removed: made anew", extra={"fields": {"of": str(self._path)}}
        )
        with self._read_lock:
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._reader.close()
            self._writer.close()
            self._connect()

    def _overwritten(self) -> DatabaseLostError:
        """Return what to raise, and keep the log as it is: SQLite copies it into the database when it closes."""
        with suppress(OSError, AttributeError):  # not every system has these locks
            fcntl.fcntl(self._held, fcntl.F_OFD_SETLK, SHARED_LOCK)
        return DatabaseLostError(OVERWRITTEN.format(self._path))

    def _make_room(self, error: sqlite3.Error) -> None:
        """Give back what the write-ahead log takes without need, when the disk is full."""
        if error.sqlite_errorcode & 0xFF in NO_ROOM:
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _refused(self, what: str, error: Exception) -> StorageError:
        return StorageError(f"the database {self._path} refused a {what}: {error}{_way_out(error)}")

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            with suppress(sqlite3.Error):  # what failed is raised already
                self._writer.execute("ROLLBACK")


def _hold(path: Path) -> int:
    """Return a descriptor that keeps other bridges out, however they came to the file."""
    for suffix in ("-wal", "-shm", "-journal"):
        beside = Path(f"{path}{suffix}")
        if os.path.lexists(beside) and not beside.is_file():
            raise StorageError(f"cannot open the database {path}: {beside.name} is not a file")
    try:
        held = open_file(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StorageError(f"cannot open the database {path}: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        if isinstance(error, BlockingIOError):
            raise SettingError(f"state: {path} is in use by another bridge") from error
        raise StorageError(f"cannot lock the database {path}: {error.strerror}") from error
    return held


def _look_over_log(path: Path, log_damaged: Callable[[Path, int], object]) -> None:
    log_path = Path(f"{path}-wal")
    try:
        damage = damage_of(path)
        if damage is None:
            return
        log_damaged(log_path, damage.commits)
        if damage.hides_newer:
            log_path.unlink()
    except OSError as error:
        raise StorageError(f"cannot read {log_path}: {error.strerror}") from error


def _found(file: str | Path | int) -> Found | None:
    """Return what shows whether a file is the one that it was, as it was; None where there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116 -- of a descriptor too
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _identity(found: Found | None) -> tuple[int, ...] | None:
    """Return what sets a file apart from all others while it exists; None where there is none."""
    return None if found is None else found[:2]


def _wal_pages(folder: Path) -> int:
    disk = os.statvfs(folder)
    least, most = WAL_PAGES
    return max(least, min(most, disk.f_blocks * disk.f_frsize // WAL_PART // PAGE_BYTES))


def _way_out(error: Exception) -> str:
    """Say what to do where the file itself is damaged (SQLITE_CORRUPT, SQLITE_NOTADB), and only there."""
    return f". {WAY_OUT}" if type(error) is sqlite3.DatabaseError else ""


def _check_version(writer: sqlite3.Connection) -> None:
    """Raise StorageError for a database of a newer bridge, before anything of it is touched."""
    [version] = writer.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StorageError(
            f"the state folder was written by a newer trainbridge (format {version}, this one knows {VERSION});"
            " start that one, or give this one a state folder of its own"
        )


def _prepare(writer: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or bring those of an older format up to this one, all of it or nothing.

    A database that is as it should be is not written to: a full disk must not keep a bridge from starting.
    """
    [version] = writer.execute("PRAGMA user_version").fetchone()
    missing = missing_tables(writer, SCHEMA)
    if version == VERSION and not missing:
        return
    [tables] = writer.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    writer.execute("BEGIN IMMEDIATE")
    try:
        if tables:
            for migration in MIGRATIONS:
                if version < migration.makes:
                    log.info(
                        "bringing the database up to a newer format",
                        extra={
                            "fields": {"path": str(path), "from": version, "to": migration.makes}
                        },
                    )
                    found = migration.run(writer)
                    log.info("the database has a newer format", extra={"fields": found})
        for statement in statements(SCHEMA):
            writer.execute(statement)
        if tables and "rebuilt" in missing:
            # Older ones had the whole spool in their index from the start on, and the store is read again.
            writer.execute("INSERT OR IGNORE INTO rebuilt VALUES ('spool')")
        writer.execute(f"PRAGMA user_version = {VERSION}")
        writer.execute("COMMIT")
    except BaseException as error:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        if (
            isinstance(error, sqlite3.OperationalError)
            and error.sqlite_errorcode == sqlite3.SQLITE_ERROR
        ):
            raise StorageError(
                f"the database {path} has tables that no trainbridge made ({error}); nothing in it was changed."
                " Give the bridge a state folder of its own"
            ) from error
        raise


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _connection(path: Path, opened: list[sqlite3.Connection]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=10, cached_statements=256
    )
    opened.append(connection)
    return connection
