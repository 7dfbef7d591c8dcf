"""The state folder of a bridge, locked against other bridges."""

import errno
import fcntl
import os
import re
import secrets
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import SettingError

NAME = re.compile(r"[!-~]{1,300}")
"""A valid instance id: printable, on one line."""

NAME_BYTES = 1_000
"""The most that is read of the file with the instance id."""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The folder for whatever outlives the process."""

    path: Path
    is_durable: bool
    """False: it is deleted with the process."""

    @property
    def instance_id(self) -> str:
        """The unique name of the bridge with this folder, the same after a restart.

        One that cannot be read or is invalid is replaced; on a full disk the new one lasts until the next start.
        """
        file = self.path / "instance-id"
        with suppress(OSError, ValueError):
            name = _read(file, NAME_BYTES).decode().strip()
            if NAME.fullmatch(name):
                return name
        name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        with suppress(OSError):
            unfinished = file.with_name("instance-id.new")
            unfinished.unlink(missing_ok=True)
            unfinished.write_text(f"{name}\n")
            unfinished.replace(file)
        return name

    @property
    def database(self) -> Path:
        """The database file."""
        return self.path / "trainbridge.db"

    @property
    def spool(self) -> Path:
        """The folder of shards that are not in the object store yet."""
        return self.path / "spool"

    @property
    def damaged(self) -> Path:
        """The folder for damaged files that were set aside."""
        return self.path / "damaged"

    @property
    def store_index(self) -> Path:
        """What the object store has said of sessions that other bridges have; each start begins it anew."""
        return self.path / "store-index.db"

    @property
    def images(self) -> Path:
        """The default object store."""
        return self.path / "images"


@contextmanager
def state_folder(path: Path | None) -> Iterator[StateFolder]:
    """Create the folder if it is missing, and lock it; None: a temporary one.

    The lock is on the folder itself, whatever path leads to it and whatever is removed in it.

    Raises SettingError when it cannot be written to, or another bridge holds it.
    """
    if path is None:
        with tempfile.TemporaryDirectory(prefix="trainbridge-") as temporary:
            yield StateFolder(Path(temporary), is_durable=False)
        return
    held: list[int] = []
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
            held.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            # Bridges of the first releases lock only this file, and are kept out by it.
            held.append(open_file(path / "lock", os.O_RDWR | os.O_CREAT))
        except OSError as error:
            # The folder is locked, and a full disk must not keep a bridge from starting.
            if not held or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise SettingError(
                    f"state: {path} cannot be written to ({error.strerror}):"
                    f" {way_out(error)}, or set state (--state) to another folder"
                ) from error
        for descriptor in held:
            _lock(descriptor, path)
        yield StateFolder(path, is_durable=True)
    finally:
        for descriptor in held:
            os.close(descriptor)


def way_out(error: OSError) -> str:
    """Return what to do about a folder in which a file cannot be written."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return f"give user {os.geteuid()} write access"
        case errno.EEXIST | errno.ENOTDIR:
            return "remove the file that is in the folder's place"
        case errno.ENOSPC | errno.EDQUOT:
            return "make room on its disk"
        case errno.EROFS:
            return "mount a volume there that may be written to"
        case _:
            return "repair or mount its disk"


def open_file(path: Path, flags: int) -> int:
    """Return a descriptor of a file without blocking, whatever is in its place.

    Raises OSError where it cannot be opened, and where it is a pipe, a device or a folder.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"{path.name} is not a file", str(path))
    return descriptor


def _read(path: Path, limit: int) -> bytes:
    descriptor = open_file(path, os.O_RDONLY)
    try:
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingError(
            f"state: {path} is in use by another bridge: stop that one, or set state (--state) to another folder"
        ) from error
    except OSError:
        # Some network file systems cannot lock folders; the database, which every bridge locks, must be lockable.
        return


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
