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

from bridge.backoff import backoff_seconds
from bridge.errors import StorageError
from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.layout import Trailer
from bridge.sinks.images.shards.operations import ShardMissing, ShardStored
from bridge.sinks.images.upload.circuit_breaker import (
    LEAST_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    CircuitBreaker,
)
from bridge.storage.objects import ObjectStore
from bridge.storage.shards import Shard
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

WORKERS = 2

NEWEST_OF_THREE = 2
"""Of three uploads this many take the newest shard, the rest the oldest: after an outage the present is visible
first, and the past follows."""

SLOW_SECONDS = 8.0
"""A store that holds an upload for longer counts as down until it answers."""

Result = TypeVar("Result")


class Uploader:
    """Uploads each shard until the store has taken it; nothing on the data path waits for it."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        path_of: Callable[[str], Path],
        on_resolved: Callable[[ShardStored | ShardMissing], None],
        telemetry: Telemetry,
        breaker: CircuitBreaker | None = None,
        workers: int = WORKERS,
    ) -> None:
        """Read the files that `path_of` returns by key; call `on_resolved` on the event loop for each shard."""
        self._store = store
        self._path_of = path_of
        self._on_resolved = on_resolved
        self._telemetry = telemetry
        self._breaker = breaker or CircuitBreaker()
        self._workers = workers
        self._waiting: list[Shard] = []
        self._under_way: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._retries: dict[int, tuple[asyncio.TimerHandle, Shard]] = {}
        self._is_draining = False
        self._changed = asyncio.Event()
        self._attempted = asyncio.Event()
        self._picks = 0

    @property
    def is_idle(self) -> bool:
        """Return whether there is nothing left to upload."""
        return not (self._waiting or self._under_way or self._failures)

    def enqueue(self, shard: Shard) -> None:
        """Add a closed shard."""
        bisect.insort(self._waiting, shard, key=attrgetter("shard_id"))
        self._changed.set()

    async def run(self) -> None:
        """Upload until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._workers):
                tasks.create_task(self._work(), name="upload")

    async def drain(self, seconds: float) -> None:
        """Wait until all is uploaded, or the time is over; a store that fails is tried again until then."""
        self._is_draining = True
        self._breaker.shorten_backoff()
        for shard_id in list(self._retries):
            self._retry(shard_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.is_idle:
                    self._attempted.clear()
                    await self._attempted.wait()

    def check_stalled(self) -> None:
        """Report a store that holds an upload for too long; to be called from time to time."""
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
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait if self._waiting else None):
                    await self._changed.wait()

    def _pick(self) -> Shard:
        self._picks += 1
        return self._waiting.pop(-1 if self._picks % 3 < NEWEST_OF_THREE else 0)

    async def _upload(self, shard: Shard) -> None:
        self._breaker.before_request()
        started = self._under_way[shard.shard_id] = time.monotonic()
        try:
            resolved = await run_in_daemon_thread(lambda: self._put(shard), name="upload")
        except Exception as error:  # noqa: BLE001 -- whatever it is, the shard must be tried again
            self._retry_later(shard, error)
        else:
            self._breaker.record_success()
            self._failures.pop(shard.shard_id, None)
            if isinstance(resolved, ShardStored):
                seconds = time.monotonic() - started
                self._telemetry.uploaded(shard.key, shard.size_bytes, seconds)
            self._on_resolved(resolved)
        finally:
            del self._under_way[shard.shard_id]
            self._changed.set()
            self._attempted.set()

    def _retry_later(self, shard: Shard, error: Exception) -> None:
        if not isinstance(error, StorageError):
            self._telemetry.unexpected_error("upload", error)
        self._breaker.record_failure()
        self._telemetry.upload_failed(shard.key, error)
        failures = self._failures.get(shard.shard_id, 0)
        self._failures[shard.shard_id] = failures + 1
        # It is out of the queue meanwhile: a shard that the store alone refuses does not hold up the others.
        longest = LEAST_SECONDS if self._is_draining else LONGEST_BACKOFF_SECONDS
        pause = backoff_seconds(failures, longest_seconds=longest)
        timer = asyncio.get_running_loop().call_later(pause, self._retry, shard.shard_id)
        self._retries[shard.shard_id] = timer, shard

    def _retry(self, shard_id: int) -> None:
        timer, shard = self._retries.pop(shard_id)
        timer.cancel()
        self.enqueue(shard)

    def _put(self, shard: Shard) -> ShardStored | ShardMissing:
        path = self._path_of(shard.key)
        try:
            self._store.put(shard.key, path, _trailer(path).metadata)
        except (FileNotFoundError, NotADirectoryError):
            # It was stored, and the bridge stopped before that was noted; or somebody removed or replaced it.
            is_there = any(found.key == shard.key for found in self._store.list(shard.key))
            return ShardStored(shard) if is_there else ShardMissing(shard)
        return ShardStored(shard)


def _trailer(path: Path) -> Trailer:
    trailer = shard_file.trailer_of(path)
    if trailer is None:
        raise FileNotFoundError(errno.ENOENT, "not a shard any more", str(path))
    return trailer
