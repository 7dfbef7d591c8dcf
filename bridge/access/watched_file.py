"""A file that is read again when it has changed, and whose last good content stays in use."""

import stat
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Generic, TypeVar

from bridge.errors import SettingError
from bridge.telemetry import Telemetry

LOOK_SECONDS = 1.0
"""A change is noticed after at most this long."""

INLINE_BYTES = 2_048
"""A larger file is read in a thread, since a thousand entries would hold up the event loop for a third of a second."""

Content = TypeVar("Content")

Stamp = tuple[int, int, int, int]


class WatchedFile(Generic[Content]):
    """The content of a file, as of not more than a second ago; a change that cannot be used is logged once."""

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], Content],
        telemetry: Telemetry,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read it now; raises SettingError as `read` does."""
        self._path = path
        self._read = read
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._stamp = _stamp(path)
        self._content = read(path)
        self._looked_at = monotonic()
        self._is_reading = False

    def content(self) -> Content:
        """Return what the file holds, or held when it could last be used."""
        now = self._monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._look()
        return self._content

    def _look(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp or self._is_reading:
            return
        self._stamp = stamp
        if stamp is not None and not stat.S_ISREG(stamp[0]):
            self._telemetry.access_kept(
                f"{self._path} is no longer a file that can be read to its end: put one in its place"
            )
            return
        if stamp is None or stamp[-1] <= INLINE_BYTES:
            self._read_again()
            return
        self._is_reading = True
        Thread(target=self._read_aside, name="access file", daemon=True).start()

    def _read_aside(self) -> None:
        try:
            self._read_again()
        finally:
            self._is_reading = False

    def _read_again(self) -> None:
        try:
            self._content = self._read(self._path)
        except SettingError as error:
            self._telemetry.access_kept(str(error))
            return
        except Exception as error:  # noqa: BLE001 -- whatever it holds, what was there before stays
            self._telemetry.unexpected_error("access file", error)
            return
        self._telemetry.event("access renewed", file=str(self._path))


def _stamp(path: Path) -> Stamp | None:
    """Return what changes with a file: a mounted secret is renewed by pointing a link elsewhere."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mode, status.st_mtime_ns, status.st_ino, status.st_size
