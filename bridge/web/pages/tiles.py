"""Tiles for contact sheets, decoded in processes with limits of time and memory."""

import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from bridge.web.pages import tile_worker
from bridge.web.pages.tile_worker import DAMAGED, DRAWN, HEAD, LENGTH, READY, TOO_LARGE

REASONS = {DAMAGED: "damaged", TOO_LARGE: "too_large"}
TIME = "too_slow"

WORKERS = 2
"""However many sheets are drawn, only so many images are decoded at a time."""

START_SECONDS = 60.0
WAIT_FACTOR = 15
"""On a busy machine processor time passes more slowly than the clock; beyond this factor a worker is stuck."""

MAX_REMEMBERED = 10_000
"""Files that were refused are not tried again with each refresh of a dashboard."""


@dataclass(frozen=True, slots=True)
class TileLimits:
    """What decoding one image may cost."""

    seconds: float = 2.0
    """Of processor time."""
    memory_bytes: int = 256 << 20
    """Address space of a process that decodes; a progressive CMYK image of 4,096 pixels a side needs 190 MiB of it."""
    pixels: int = 4_096**2


class TileDecoder:
    """Decodes untrusted images; any thread may call it."""

    def __init__(self, limits: TileLimits | None = None) -> None:
        """Start no process before the first image."""
        self._limits = limits or TileLimits()
        self._free = threading.BoundedSemaphore(WORKERS)
        self._idle: list[_Worker] = []
        self._refused: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()
        self._is_closed = False

    def tile_of(self, jpeg: bytes) -> Any:
        """Return an image that fits a tile, or the reason why there is none; raises ModuleNotFoundError without Pillow."""
        from PIL import Image  # noqa: PLC0415 -- an extra that may be absent

        key = blake2b(jpeg, digest_size=16).digest()
        if (known := self._refused.get(key)) is not None:
            return known
        with self._free:
            found = self._ask(jpeg)
        if isinstance(found, str):
            self._remember(key, found)
            return found
        size, pixels = found
        return Image.frombytes("RGB", size, pixels)

    def close(self) -> None:
        """End the processes; a tile that is asked for afterwards is refused."""
        with self._lock:
            self._is_closed = True
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.end()

    def _ask(self, jpeg: bytes) -> "tuple[tuple[int, int], bytes] | str":
        with self._lock:
            if self._is_closed:
                return TIME
            worker = self._idle.pop() if self._idle else None
        worker = worker or _Worker(self._limits)
        try:
            found = worker.ask(jpeg)
        except BaseException:
            worker.end()
            raise
        with self._lock:
            if worker.is_alive and not self._is_closed:
                self._idle.append(worker)
                return found
        worker.end()
        return found

    def _remember(self, key: bytes, reason: str) -> None:
        with self._lock:
            self._refused[key] = reason
            while len(self._refused) > MAX_REMEMBERED:
                self._refused.popitem(last=False)


class _Worker:
    """A process that decodes one image after the other."""

    def __init__(self, limits: TileLimits) -> None:
        self._limits = limits
        self.is_alive = True
        # By its path: as a module it would import the whole web server first.
        program = [sys.executable, "-P", str(Path(tile_worker.__file__))]
        numbers = [str(limits.seconds), str(limits.memory_bytes), str(limits.pixels)]
        self._process = subprocess.Popen(  # noqa: S603 -- our own program
            [*program, *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._is_ready = False

    def ask(self, jpeg: bytes) -> tuple[tuple[int, int], bytes] | str:
        """Return size and pixels of a tile, or why there is none; the process may not survive it."""
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None  # noqa: S101 -- both are pipes
        assert sink is not None  # noqa: S101
        with suppress(OSError):
            if not self._is_ready:
                with _killed_after(self._process, START_SECONDS):
                    self._is_ready = source.read(1) == READY
            with _killed_after(self._process, self._limits.seconds * WAIT_FACTOR):
                sink.write(LENGTH.pack(len(jpeg)) + jpeg)
                sink.flush()
                head = source.read(HEAD.size)
                if len(head) == HEAD.size:
                    result, width, height = HEAD.unpack(head)
                    pixels = source.read(3 * width * height)
                    if result != DRAWN:
                        return REASONS[result]
                    return (width, height), pixels
        self.is_alive = False
        return TIME

    def end(self) -> None:
        """End the process; harmless where it has ended."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()


@contextmanager
def _killed_after(process: "subprocess.Popen[bytes]", seconds: float) -> Iterator[None]:
    """Kill a process that is still at work when the time is over."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
