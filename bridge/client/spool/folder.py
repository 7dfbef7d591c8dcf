"""The folders of a spool: one for each session, locked while a process uses it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bridge.client.identity import Identity

try:
    import fcntl
except ImportError:  # pragma: no cover -- Windows
    fcntl = None  # type: ignore[assignment]

IDENTITY_FILE = "session.json"

LAST_SEGMENT_FILE = "begun"
"""Holds the number of the last segment, so that its loss is noticed where somebody deletes it."""

SUFFIX = ".spool"
"""The suffix of a segment, a file with messages."""

SET_ASIDE_SUFFIX = ".damaged"
"""The suffix of a folder that has been delivered as far as it was readable."""


class InUseError(Exception):
    """Another process uses this folder."""


class Folder:
    """The folder of one session.

    It is locked by `flock` on its identity file, which the system releases when the process ends, however
    it ends. A forked child shares the lock and has to close its copy of the file, which does not unlock it.
    """

    def __init__(self, path: Path, identity: Identity, lock: int) -> None:
        """Own the lock that `create` or `claim` has taken."""
        self.path = path
        self.identity = identity
        self._lock = lock

    @classmethod
    def create(cls, root: Path, identity: Identity) -> "Folder":
        """Make the folder of a new session. Raises OSError."""
        if fcntl is None:  # pragma: no cover -- Windows
            raise OSError("spool_dir cannot be used: this system does not lock files")
        path = root / f"{identity.session_id}-{identity.instance_id[:8]}"
        try:
            return cls(path, identity, _create_locked(path, identity))
        except OSError as error:
            message = f"spool_dir cannot be used: {error.strerror}"
            raise OSError(error.errno, message, str(root)) from error

    @classmethod
    def claim(cls, path: Path) -> "Folder":
        """Take over the folder of a session whose process is gone.

        Raises InUseError where it is alive, ValueError where nothing says which session this is, OSError.
        """
        file = path / IDENTITY_FILE
        if not file.is_file() and _holds_session(path):
            raise ValueError(
                f"there is no {IDENTITY_FILE}, which says which session these messages are of"
            )
        lock = os.open(file, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            identity = Identity.from_json(os.read(lock, os.fstat(lock).st_size + 1).decode())
            file.stat()  # it may have been delivered before we had the lock
        except UnicodeDecodeError as error:
            os.close(lock)
            raise ValueError(f"{IDENTITY_FILE} is damaged") from error
        except BlockingIOError as error:
            os.close(lock)
            raise InUseError(path) from error
        except (OSError, ValueError):
            os.close(lock)
            raise
        return cls(path, identity, lock)

    @property
    def last_segment_number(self) -> int:
        """The highest number of a segment that has been begun, as far as it was recorded; 0: none."""
        try:
            text = (self.path / LAST_SEGMENT_FILE).read_bytes()[:16]
        except OSError:
            return 0
        return int(text) if text.isdigit() else 1  # a crash has torn it

    def record_segment(self, number: int) -> None:
        """Record that a segment has been begun, where the disk takes it."""
        with contextlib.suppress(OSError):
            (self.path / LAST_SEGMENT_FILE).write_text(str(number))

    def remove(self) -> None:
        """Delete the folder and everything in it; the identity last, so that the rest always has an owner."""
        for path in self.path.iterdir():
            if path.name != IDENTITY_FILE:
                path.unlink()
        (self.path / IDENTITY_FILE).unlink()
        self.path.rmdir()
        self.release()

    def set_aside(self) -> Path:
        """Rename the folder so that it is not delivered again; return its new path. Raises OSError."""
        target = self.path.with_name(f"{self.path.name}{SET_ASIDE_SUFFIX}")
        number = 1
        while target.exists():
            number += 1
            target = self.path.with_name(f"{self.path.name}.{number}{SET_ASIDE_SUFFIX}")
        self.path.rename(target)
        self.release()
        return target

    def release(self) -> None:
        """Leave the folder to others, or, in a forked child, to the parent. Never raises."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def _create_locked(path: Path, identity: Identity) -> int:
    """Create a folder that is visible to others only once it is locked; return the file that locks it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}")
    hidden.mkdir(mode=0o700)
    lock = os.open(hidden / IDENTITY_FILE, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(lock, identity.to_json().encode())
        os.fsync(lock)
        hidden.rename(path)
        sync_folder(path.parent)
    except OSError:
        os.close(lock)
        raise
    return lock


def folders_in(root: Path) -> Iterator[Path]:
    """Yield the folders of sessions in a spool, or the folder itself where it is one. Raises OSError."""
    if (root / IDENTITY_FILE).exists():
        yield root
        return
    paths = [path for path in sorted(root.iterdir()) if not path.name.startswith(".")]
    found = [path for path in paths if not is_set_aside(path) and _holds_session(path)]
    yield from found or ([root] if _holds_session(root) else [])


def started_ms(path: Path) -> int:
    """Return when the session of a folder began, so that attempts are delivered in order; 0: unknown."""
    try:
        return Identity.from_json((path / IDENTITY_FILE).read_text()).started_ms
    except (OSError, ValueError):
        return 0


def is_set_aside(path: Path) -> bool:
    """Return whether a folder has been delivered, and kept because some of it was unreadable."""
    return path.name.endswith(SET_ASIDE_SUFFIX)


def set_aside_in(root: Path) -> list[Path]:
    """Return the folders in a spool that have been set aside. Raises OSError."""
    return sorted(path for path in root.iterdir() if is_set_aside(path) and path.is_dir())


def _holds_session(path: Path) -> bool:
    """Return whether a folder has an identity or messages, or does not let us look."""
    try:
        names = [inner.name for inner in path.iterdir()]
    except PermissionError:
        return path.is_dir()
    except OSError:  # not a folder, or its session has just been delivered
        return False
    return any(name == IDENTITY_FILE or name.endswith(SUFFIX) for name in names)


def is_abandoned(path: Path) -> bool:
    """Return whether the process of a session's folder is gone."""
    try:
        lock = os.open(path / IDENTITY_FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a loss of power. Raises OSError."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
