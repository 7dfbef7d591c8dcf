"""The folders of a spool: one for each session, locked while somebody works with it."""

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

BEGUN_FILE = "begun"
"""Has the number of the last file with messages, so that it is missed where somebody deletes it."""

SUFFIX = ".spool"
"""Ends the name of a file with messages."""

SET_ASIDE = ".damaged"
"""Ends the name of a folder that has been delivered as far as it could be read."""


class InUseError(Exception):
    """Another process works with this folder."""


class Folder:
    """The folder of one session.

    What locks it is `flock` on its identity file, which ends with the process, however that ends. A
    forked child shares the lock, so its copy has to let go of the file, which does not unlock it.
    """

    def __init__(self, path: Path, identity: Identity, lock: int) -> None:
        """Hold what `create` or `claim` has locked."""
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
            return cls(path, identity, _created(path, identity))
        except OSError as error:
            told = f"spool_dir cannot be used: {error.strerror}"
            raise OSError(error.errno, told, str(root)) from error

    @classmethod
    def claim(cls, path: Path) -> "Folder":
        """Take over the folder of a session whose process is gone.

        Raises InUseError where it is not gone, ValueError where nothing tells whose folder this is, OSError.
        """
        file = path / IDENTITY_FILE
        if not file.is_file() and _holds_session(path):
            raise ValueError(f"there is no {IDENTITY_FILE}, which says whose messages these are")
        lock = os.open(file, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            identity = Identity.of_json(os.read(lock, os.fstat(lock).st_size + 1).decode())
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
    def begun(self) -> int:
        """The highest number of a file with messages that has been begun, as far as that is noted; 0: none."""
        try:
            text = (self.path / BEGUN_FILE).read_bytes()[:16]
        except OSError:
            return 0
        return int(text) if text.isdigit() else 1  # a crash has torn it

    def note_begun(self, number: int) -> None:
        """Note that a file with messages has been begun, where the disk takes it."""
        with contextlib.suppress(OSError):
            (self.path / BEGUN_FILE).write_text(str(number))

    def remove(self) -> None:
        """Delete the folder with all that is in it; the identity last, so that the rest is never nobody's."""
        for path in self.path.iterdir():
            if path.name != IDENTITY_FILE:
                path.unlink()
        (self.path / IDENTITY_FILE).unlink()
        self.path.rmdir()
        self.release()

    def set_aside(self) -> Path:
        """Give the folder a name under which nobody delivers it again; return that. Raises OSError."""
        target = self.path.with_name(f"{self.path.name}{SET_ASIDE}")
        number = 1
        while target.exists():
            number += 1
            target = self.path.with_name(f"{self.path.name}.{number}{SET_ASIDE}")
        self.path.rename(target)
        self.release()
        return target

    def release(self) -> None:
        """Leave the folder to others; in a forked child, leave it to the parent. Never raises."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def _created(path: Path, identity: Identity) -> int:
    """Make a folder that nobody sees before it is locked; return what locks it."""
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
    """Return when the session of a folder began, so that attempts can be delivered in order; 0: not known."""
    try:
        return Identity.of_json((path / IDENTITY_FILE).read_text()).started_ms
    except (OSError, ValueError):
        return 0


def is_set_aside(path: Path) -> bool:
    """Tell whether a folder has been delivered, and kept since some of it could not be read."""
    return path.name.endswith(SET_ASIDE)


def set_aside_in(root: Path) -> list[Path]:
    """Return the folders in a spool that have been set aside. Raises OSError."""
    return sorted(path for path in root.iterdir() if is_set_aside(path) and path.is_dir())


def _holds_session(path: Path) -> bool:
    """Tell whether a folder says whose it is, or holds messages, or hides what it holds."""
    try:
        names = [inner.name for inner in path.iterdir()]
    except PermissionError:
        return path.is_dir()
    except OSError:  # it is no folder, or its session has just been delivered
        return False
    return any(name == IDENTITY_FILE or name.endswith(SUFFIX) for name in names)


def is_abandoned(path: Path) -> bool:
    """Tell whether nobody works with the folder of a session."""
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
