"""The SQLite database: one writer at a time, readers beside it, and no second bridge."""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from bridge.errors import StorageError, UnwritableError
from bridge.storage.database import Row
from bridge.storage.sqlite.files import DatabaseFiles
from bridge.storage.sqlite.tables import check_version, prepare
from bridge.storage.sqlite.transaction import (
    DIALECT,
    REFUSALS,
    RowByRow,
    SqliteTransaction,
    compiled,
)
from bridge.storage.sqlite.wal import damage_of
from bridge.storage.statements import NOTHING, Statement
from bridge.storage.transaction import Parameters, RefusedRow

log = logging.getLogger("bridge")

PAGE_BYTES = 4096
"""SQLite's default."""

WAL_PAGES = (16, 1000)
"""The write-ahead log is copied into the database at a number of pages between these, by the size of the disk."""

WAL_PART = 64
"""The fraction of the disk for the log: on a full disk the log must still fit into the database, or both are stuck."""

WAY_OUT = (
    "If it is damaged, move it away with its -wal and -shm files and start again: "
    "images will be found again, sessions and counts are lost"
)

WAYS_OUT = {
    sqlite3.SQLITE_FULL: "make room on its disk; a new database takes about 200 KiB",
    sqlite3.SQLITE_IOERR: "make room on its disk, or repair that",
    sqlite3.SQLITE_READONLY: "let the bridge write to it and to its folder",
    sqlite3.SQLITE_CANTOPEN: "let the bridge write to its folder, and make room on its disk",
}

NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class SqliteDatabase:
    """Keeps rows in one file, held for as long as it is open; every method may be called from any thread."""

    dialect = DIALECT
    bridge_id = ""
    number = 0

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
        self._durable = durable
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._files = DatabaseFiles(path)
        try:
            _check_log(path, log_damaged)
            self._connect()
        except BaseException:
            self._files.close()
            raise

    @contextmanager
    def transaction(
        self, *, refused: list[RefusedRow] | None = None
    ) -> Iterator[SqliteTransaction]:
        """Commit everything done inside, or nothing.

        With `refused`, rows that the database cannot hold are left out and added to it.

        Raises UnwritableError for such a row without it, DatabaseLostError when the file is no longer
        where, or as, the last commit left it, StorageError when the disk is full, read-only or failing.
        """
        with self._write_lock:
            self._check_files()
            is_ours = False
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield (
                    SqliteTransaction(self._writer)
                    if refused is None
                    else RowByRow(self._writer, refused)
                )
                self._check_files(is_inside=True)
                is_ours = True
                self._writer.execute("COMMIT")
                self._files.written()
            except BaseException as error:
                is_ours = is_ours or self._files.is_as_written
                self._roll_back()
                if isinstance(error, REFUSALS):
                    raise UnwritableError(
                        f"the database {self._path} cannot hold a value: {error}"
                    ) from error
                cause = error.__cause__ if isinstance(error, StorageError) else error
                if isinstance(cause, sqlite3.Error):
                    self._make_room(cause)
                if is_ours:
                    self._files.written()
                if isinstance(error, sqlite3.Error):
                    raise self._refused("commit", error) from error
                raise

    def group(
        self,
        *,
        refused: list[RefusedRow] | None = None,
        arrived: Collection[str] = (),  # noqa: ARG002 -- there is nobody to lose them to
    ) -> AbstractContextManager[SqliteTransaction]:
        """Commit as `transaction` does: nobody takes a session from the only bridge."""
        return self.transaction(refused=refused)

    def settle(self) -> bool:
        """Return False: a commit that failed was not made."""
        return False

    def query(self, statement: Statement | str, parameters: Parameters = NOTHING, /) -> list[Row]:
        """Return all rows of a query on what has been committed."""
        with self._read_lock:
            try:
                return self._reader.execute(*compiled(statement, parameters)).fetchall()
            except (sqlite3.Error, OverflowError, UnicodeError) as error:
                raise self._refused("query", error) from error

    @property
    def size_bytes(self) -> int:
        """The size of the database and its write-ahead log."""
        names = (self._path, Path(f"{self._path}-wal"))
        return sum(name.stat().st_size for name in names if name.exists())

    def close(self) -> None:
        """Close both connections; nothing may be called after it but `close`, which then does nothing."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()
            self._files.close()

    def _connect(self) -> None:
        opened: list[sqlite3.Connection] = []
        try:
            self._writer = _connection(self._path, opened)
            check_version(self._writer)
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'OFF'}")
            # A transaction writes nothing before it commits, so that any change until then comes from outside.
            self._writer.execute("PRAGMA cache_spill=OFF")
            # The log keeps its size and is reused: a disk that others fill meanwhile still takes the next rows.
            self._writer.execute(f"PRAGMA wal_autocheckpoint={_wal_pages(self._path.parent)}")
            prepare(self._writer, self._path)
            self._reader = _connection(self._path, opened)
            # A damaged text costs its row, not the whole result.
            self._reader.text_factory = _text
            self._reader.execute("PRAGMA query_only=1")
            # It opens its files now, so that pages are served even if these are removed later.
            self._reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException as error:
            for connection in opened:
                connection.close()
            if isinstance(error, sqlite3.Error):
                raise StorageError(
                    f"cannot open the database {self._path}: {error}{_way_out(error)}"
                ) from error
            raise
        self._files.opened()

    def _check_files(self, *, is_inside: bool = False) -> None:
        """Make sure that what is written will be read by the next start; open a new log where it was removed.

        Raises DatabaseLostError as `DatabaseFiles.check` does, StorageError when the log goes while a transaction
        is open.
        """
        if self._files.check():
            return
        if is_inside:
            raise StorageError(
                f"the write-ahead log of {self._path} was removed; it is created anew"
            )
        log.warning(
            "the write-ahead log was removed: created anew",
            extra={"fields": {"of": str(self._path)}},
        )
        with self._read_lock:
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._reader.close()
            self._writer.close()
            self._connect()

    def _make_room(self, error: sqlite3.Error) -> None:
        """Truncate the write-ahead log when the disk is full."""
        if error.sqlite_errorcode & 0xFF in NO_ROOM:
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _refused(self, what: str, error: Exception) -> StorageError:
        return StorageError(f"the database {self._path} refused a {what}: {error}{_way_out(error)}")

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            with suppress(sqlite3.Error):  # what failed is raised already
                self._writer.execute("ROLLBACK")


def _check_log(path: Path, log_damaged: Callable[[Path, int], object]) -> None:
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


def _wal_pages(folder: Path) -> int:
    disk = os.statvfs(folder)
    least, most = WAL_PAGES
    return max(least, min(most, disk.f_blocks * disk.f_frsize // WAL_PART // PAGE_BYTES))


def _way_out(error: Exception) -> str:
    """Return what to do about a full disk, missing rights or a damaged file (SQLITE_CORRUPT, SQLITE_NOTADB), else ""."""
    if type(error) is sqlite3.DatabaseError:
        return f". {WAY_OUT}"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return f": {WAYS_OUT[code]}" if code in WAYS_OUT else ""


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _connection(path: Path, opened: list[sqlite3.Connection]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=10, cached_statements=256
    )
    opened.append(connection)
    return connection
