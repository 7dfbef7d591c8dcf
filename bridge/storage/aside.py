"""The folder for damaged files: nothing reads them any more, and nothing there is deleted without a log line."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

FILES_LIMIT = 32
BYTES_LIMIT = 256 << 20


class EventLog(Protocol):
    """Reports what happened."""

    def dropped(self, what: str, reason: str, count: int = 1) -> None:
        """Something is lost."""

    def set_aside(self, path: str, reason: str) -> None:
        """Something damaged was moved or copied to the folder for damaged files."""

    def event(self, what: str, **fields: object) -> None:
        """Something happened that an operator wants to read once."""


class DamagedFolder:
    """Holds a limited number of files and bytes; the oldest are deleted first."""

    def __init__(
        self,
        folder: Path,
        events: EventLog,
        *,
        files: int = FILES_LIMIT,
        total_bytes: int = BYTES_LIMIT,
    ) -> None:
        """Keep files in `folder`, which is created with the first one."""
        self._folder = folder
        self._events = events
        self._files = files
        self._bytes = total_bytes
        self._copied = 0

    def move(self, path: Path, reason: str) -> bool:
        """Move a file or folder here; False: the disk refused."""
        return self._take(path, reason, path.replace)

    def copy(self, path: Path, reason: str) -> bool:
        """Keep a copy of a file that will be repaired; False: there was no space, or there were too many."""
        if self._copied >= self._files:
            return False
        self._copied += 1
        return self._take(path, reason, lambda target: _copy(path, target))

    def copy_log(self, log: Path, commits: int) -> None:
        """Keep a write-ahead log with commits that cannot be read any more, and count them as lost."""
        self._events.dropped("commit", "damaged", commits)
        if log.exists():
            self.copy(log, "commits in the write-ahead log are damaged, and lost")

    def _take(self, path: Path, reason: str, bring: Callable[[Path], object]) -> bool:
        try:
            size = path.lstat().st_size
            if size > self._bytes:
                return False
            self._folder.mkdir(exist_ok=True)
            self._make_room(size)
            target = self._folder / f"{time.time_ns():020d}-{path.name}"
            bring(target)
        except OSError as error:
            self._events.event(
                "cannot set aside what is damaged", path=str(path), error=str(error.strerror)
            )
            return False
        self._events.set_aside(str(target), reason)
        return True

    def _make_room(self, size: int) -> None:
        kept = sorted(self._folder.iterdir())
        used = sum(path.lstat().st_size for path in kept)
        while kept and (len(kept) >= self._files or used + size > self._bytes):
            oldest = kept.pop(0)
            used -= oldest.lstat().st_size
            self._events.event("deleted the oldest damaged file", path=str(oldest))
            if oldest.is_dir() and not oldest.is_symlink():
                shutil.rmtree(oldest)
            else:
                oldest.unlink()


def _copy(path: Path, target: Path) -> None:
    try:
        shutil.copyfile(path, target)
    except OSError:
        target.unlink(missing_ok=True)
        raise
