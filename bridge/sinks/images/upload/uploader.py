"""Bring closed shards to the object store."""

import asyncio
import bisect
import errno
import time
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from bridge.errors import StorageError
from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.layout import Trailer
from bridge.sinks.images.shards.operations import Gone, Stored
from bridge.sinks.images.upload.circuit_breaker import Breaker, pause_seconds
from bridge.storage.objects import ObjectStore
from bridge.storage.shards import Shard
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

WORKERS = 2

NEWEST_OF_THREE = 2
"""Of three uploads so many take the newest shard, and the rest the oldest: after an outage the present is
visible first, and the past gets its turn."""

SLOW_SECONDS = 8.0
"""A store that holds an upload for longer counts as down until it answers."""

Result = TypeVar("Result")


class Uploader:
    """Uploads what it is offered, until the store has taken it; nobody ever waits for it."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        path_of: Callable[[str], Path],
        settle: Callable[[Stored | Gone], None],
        telemetry: Telemetry,
        breaker: Breaker | None = None,
        workers: int = WORKERS,
    ) -> None:
        """Read the files that `path_of` names by key, and call `settle` on the event loop for each shard."""
        self._store = store
        self._path_of = path_of
        self._settle = settle
        self._telemetry = telemetry
        self._breaker = breaker or Breaker()
        self._workers = workers
        self._waiting: list[Shard] = []
        self._under_way: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._bell = asyncio.Event()
        self._turned = asyncio.Event()
        self._turn = 0

    @property
    def is_idle(self) -> bool:
        """Tell whether there is nothing left to upload."""
        return not (self._waiting or self._under_way or self._failures)

    def offer(self, shard: Shard) -> None:
        """Take a closed shard on."""
        bisect.insort(self._waiting, shard, key=attrgetter("shard_id"))
        self._bell.set()

    async def run(self) -> None:
        """Upload for ever."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._workers):
                tasks.create_task(self._work(), name="upload")

    async def drain(self, seconds: float) -> None:
        """Return when all is uploaded, when the store fails, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (self.is_idle or self._breaker.is_open):
                    self._turned.clear()
                    await self._turned.wait()

    def look(self) -> None:
        """Tell of a store that holds an upload for too long; to be called from time to time."""
        oldest = min(self._under_way.values(), default=None)
        if oldest is not None and time.monotonic() - oldest > SLOW_SECONDS:
            self._telemetry.upload_stalled()

    async def _work(self) -> None:
        while True:
            await self._upload(await self._next())

    async def _next(self) -> Shard:
        while True:
            wait = self._breaker.wait_seconds
            if self._waiting and wait == 0.0:
                return self._pick()
            self._bell.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait if self._waiting else None):
                    await self._bell.wait()

    def _pick(self) -> Shard:
        self._turn += 1
        return self._waiting.pop(-1 if self._turn % 3 < NEWEST_OF_THREE else 0)

    async def _upload(self, shard: Shard) -> None:
        self._breaker.begin()
        started = self._under_way[shard.shard_id] = time.monotonic()
        try:
            step = await run_in_daemon_thread(lambda: self._put(shard), name="upload")
        except Exception as error:  # noqa: BLE001 -- whatever it is, the shard must be tried again
            self._fail(shard, error)
        else:
            self._breaker.succeed()
            self._failures.pop(shard.shard_id, None)
            if isinstance(step, Stored):
                seconds = time.monotonic() - started
                self._telemetry.uploaded(shard.key, shard.size_bytes, seconds)
            self._settle(step)
        finally:
            del self._under_way[shard.shard_id]
            self._bell.set()
            self._turned.set()

    def _fail(self, shard: Shard, error: Exception) -> None:
        if not isinstance(error, StorageError):
            self._telemetry.unexpected_error("upload", error)
        self._breaker.fail()
        self._telemetry.upload_failed(shard.key, error)
        failures = self._failures.get(shard.shard_id, 0)
        self._failures[shard.shard_id] = failures + 1
        # Set aside for a while, a shard that only it has trouble with does not hold up the others.
        asyncio.get_running_loop().call_later(pause_seconds(failures), self.offer, shard)

    def _put(self, shard: Shard) -> Stored | Gone:
        path = self._path_of(shard.key)
        try:
            self._store.put(shard.key, path, _trailer(path).metadata)
        except (FileNotFoundError, NotADirectoryError):
            # It was stored, and the bridge stopped before that was noted; or somebody removed or replaced it.
            is_there = any(found.key == shard.key for found in self._store.list(shard.key))
            return Stored(shard) if is_there else Gone(shard)
        return Stored(shard)


def _trailer(path: Path) -> Trailer:
    trailer = shard_file.trailer_of(path)
    if trailer is None:
        raise FileNotFoundError(errno.ENOENT, "not a shard any more", str(path))
    return trailer
