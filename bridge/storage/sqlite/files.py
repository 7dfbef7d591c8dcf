"""The files of a database: held against other bridges, and checked for changes from outside."""

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

from bridge.errors import DatabaseLostError, SettingError, StorageError
from bridge.storage.folder import open_file, way_out

FileState = tuple[int, int, int, int]
"""Device, inode, size, and time of the last write in nanoseconds; the first two identify the file."""

OVERWRITTEN = (
    "the database {} or its write-ahead log was overwritten, cut short or written to by something else while the"
    " bridge runs: nothing is acknowledged any more. Put an intact one in its place, and start the bridge again"
)

SHARED_LOCK = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, 0x40000002, 510, 0)
"""The lock that every connection of SQLite holds while it is open (sqlite.org/lockingv3.html)."""


class DatabaseFiles:
    """A database file, its write-ahead log and its index, held for as long as the bridge runs."""

    def __init__(self, path: Path) -> None:
        """Take hold of the file, which is created where there is none.

        Raises SettingError when another bridge holds it, StorageError when it cannot be opened.
        """
        self._path = path
        self._log, self._index = f"{path}-wal", f"{path}-shm"
        # POSIX drops a process's locks on a file, SQLite's too, when it closes any descriptor of it: this
        # one is opened before SQLite's and closed after them.
        self._descriptor = _hold(path)

    def close(self) -> None:
        """Let go of the file; again, it does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:  # the number may be another file's by now
            os.close(descriptor)

    def opened(self) -> None:
        """Take the files as they are for those that SQLite has opened."""
        self._log_identity = _identity(_state_of(self._log))
        self._index_identity = _identity(_state_of(self._index))
        self.written()

    def written(self) -> None:
        """Take the files as they are for what the bridge itself has written last."""
        self._last_written = self._states()

    @property
    def is_as_written(self) -> bool:
        """Whether nothing has changed since the bridge itself wrote."""
        return self._states() == self._last_written

    def check(self) -> bool:
        """Check that what is written goes to the files that the next start will read; False: the log was removed.

        Nothing is lost by that yet: what is in it can still go to the database. Raises DatabaseLostError when it is
        the database that was removed or replaced, or when either was written to by something else.
        """
        database, log_file = self._states()
        if _identity(database) != _identity(_state_of(self._descriptor)):
            raise DatabaseLostError(
                f"the database {self._path} was removed, moved or replaced while the bridge runs: nothing is"
                " acknowledged any more. Put it back, or start the bridge again"
            )
        last_database, last_log_file = self._last_written
        is_same_log = _identity(log_file) == self._log_identity
        if database != last_database or (is_same_log and log_file != last_log_file):
            raise self._overwritten()
        return is_same_log and _identity(_state_of(self._index)) == self._index_identity

    def _states(self) -> tuple[FileState | None, FileState | None]:
        return _state_of(self._path), _state_of(self._log)

    def _overwritten(self) -> DatabaseLostError:
        """Return what to raise, and keep the log as it is: SQLite copies it into the database when it closes."""
        with suppress(OSError, AttributeError):  # not every system has these locks
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, SHARED_LOCK)
        return DatabaseLostError(OVERWRITTEN.format(self._path))


def _state_of(file: str | Path | int) -> FileState | None:
    """Return what shows whether a file was replaced or written to; None where there is none."""
    try:
        stat = os.stat(file)  # noqa: PTH116 -- of a descriptor too
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _identity(state: FileState | None) -> tuple[int, ...] | None:
    """Return what identifies a file while it exists; None where there is none."""
    return None if state is None else state[:2]


def _hold(path: Path) -> int:
    """Return a descriptor that keeps other bridges out, however they came to the file."""
    for suffix in ("-wal", "-shm", "-journal"):
        beside = Path(f"{path}{suffix}")
        if os.path.lexists(beside) and not beside.is_file():
            raise StorageError(f"cannot open the database {path}: {beside.name} is not a file")
    try:
        held = open_file(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StorageError(
            f"cannot open the database {path}: {error.strerror}: {way_out(error)}, or set state (--state) to another folder"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        if isinstance(error, BlockingIOError):
            raise SettingError(f"state: {path} is in use by another bridge") from error
        raise StorageError(f"cannot lock the database {path}: {error.strerror}") from error
    return held
