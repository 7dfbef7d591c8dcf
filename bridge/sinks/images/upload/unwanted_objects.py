"""Delete shards from the object store that were uploaded after their session had been deleted."""

import asyncio

from bridge.backoff import backoff_seconds
from bridge.errors import StorageError
from bridge.storage.objects import ObjectStore
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread


class UnwantedObjects:
    """Tries until the store has deleted each of them."""

    def __init__(self, store: ObjectStore, telemetry: Telemetry) -> None:
        """Start without any."""
        self._store = store
        self._telemetry = telemetry
        self._keys: asyncio.Queue[str] = asyncio.Queue()

    def add(self, key: str) -> None:
        """Have an object deleted."""
        self._keys.put_nowait(key)

    async def run(self) -> None:
        """Delete until cancelled."""
        while True:
            key = await self._keys.get()
            failures = 0
            while not await self._delete(key):
                await asyncio.sleep(1 + backoff_seconds(failures))
                failures += 1

    async def _delete(self, key: str) -> bool:
        try:
            await run_in_daemon_thread(lambda: self._store.delete(key), name="unwanted objects")
        except StorageError as error:
            self._telemetry.storage_failed("deleting images", error)
            return False
        self._telemetry.shard_deleted()
        return True
