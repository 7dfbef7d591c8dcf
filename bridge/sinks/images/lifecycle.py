"""What runs beside the image sink, from recovering its spool to the last upload."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bridge.errors import StorageError
from bridge.sinks import GroupCommit
from bridge.sinks.images.shards.left_shards import LeftShards
from bridge.sinks.images.shards.operations import IndexRebuilt, SpoolOp
from bridge.sinks.images.shards.recovery import Recovery
from bridge.sinks.images.shards.spool import Spool
from bridge.sinks.images.upload.rebuild_index import list_shards, rebuild_index
from bridge.sinks.images.upload.unwanted_objects import UnwantedObjects
from bridge.sinks.images.upload.uploader import Uploader
from bridge.storage.aside import DamagedFolder
from bridge.storage.database import Database
from bridge.storage.objects import ObjectStore
from bridge.storage.rebuild_claim import claim_rebuild
from bridge.storage.shard_keys import last_attempts
from bridge.storage.shards import is_rebuilt, shard_of, unstored
from bridge.telemetry import Telemetry

TICK_SECONDS = 0.1

CLAIM_SECONDS = 5.0
"""While another bridge reads the index of the store, it is looked so often whether it still does."""

RETRY_SECONDS = 1.0
"""What recovery could not read or write is tried again after this."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Recovers the spool, rebuilds the index, ticks and uploads; at a stop it uploads what fits in the time."""

    spool: Spool
    store: ObjectStore
    database: Database
    uploader: Uploader
    aside: DamagedFolder
    left: LeftShards
    unwanted: UnwantedObjects
    telemetry: Telemetry
    tick: Callable[[], bool]
    """Does what is due, and returns whether there is something to commit."""
    flush: Callable[[], None]
    """Closes every window and shard with the next commit."""
    submit: Callable[[SpoolOp], None]
    """Takes what the next commit is to do."""
    keeps_spool: bool = True
    """Whether the next start finds the spool as this bridge leaves it."""
    attempts_found: dict[str, int] = field(default_factory=dict)
    """By session, the last attempt that a new database has found shards of, before their images are read."""

    @asynccontextmanager
    async def running(
        self, committer: GroupCommit, *, drain_seconds: Callable[[], float]
    ) -> AsyncIterator[None]:
        """Recover, then run until the block is left; see `Images.running`."""
        is_new = not is_rebuilt(self.database, "store")
        recovery = Recovery(self.spool, self.database, self.telemetry, self.aside)
        await self._recover(recovery)
        self.tick()
        tasks = [
            asyncio.create_task(self._tick_forever(committer)),
            asyncio.create_task(self.uploader.run()),
            asyncio.create_task(self.unwanted.run()),
            asyncio.create_task(self._keep_closing_left()),
        ]
        if not recovery.is_finished:
            tasks.append(asyncio.create_task(self._keep_recovering(recovery)))
        if is_new:
            tasks.append(asyncio.create_task(self._rebuild_index()))
        try:
            yield
        finally:
            await self._drain(committer, drain_seconds())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _recover(self, recovery: Recovery) -> None:
        for shard in await asyncio.to_thread(recovery.attempt):
            self.uploader.enqueue(shard)

    async def _keep_recovering(self, recovery: Recovery) -> None:
        """Try again what the disk has refused: new images are kept meanwhile, as far as there is room."""
        while not recovery.is_finished:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._recover(recovery)
            except Exception as error:  # noqa: BLE001 -- the next try may succeed
                self.telemetry.unexpected_error("recovery of the spool", error)

    async def _keep_closing_left(self) -> None:
        while True:
            await self.left.added.wait()
            self.left.added.clear()
            while not self.left.is_empty:
                await self._close_left()
                await asyncio.sleep(0 if self.left.is_empty else RETRY_SECONDS)

    async def _close_left(self) -> None:
        for shard in await self.left.close():
            self.uploader.enqueue(shard)

    async def _tick_forever(self, committer: GroupCommit) -> None:
        while True:
            try:
                if self.tick():
                    committer.request_commit()
            except Exception as error:  # noqa: BLE001 -- the next tick may succeed
                self.telemetry.unexpected_error("images", error)
            await asyncio.sleep(TICK_SECONDS)

    async def _rebuild_index(self) -> None:
        try:
            # Before their images are read, which takes long: trainers do not wait.
            found = await list_shards(self.store, self.telemetry)
            self.attempts_found.update(last_attempts(shard.key for shard in found))
            if self.database.bridge_id and not await self._has_claimed():
                return
            await rebuild_index(
                self.store,
                found,
                is_known=lambda key: shard_of(self.database, key) is not None,
                adopt=self.submit,
                telemetry=self.telemetry,
            )
        except Exception as error:  # noqa: BLE001 -- images are kept anyway; the next start reads the rest
            self.telemetry.unexpected_error("rebuild of the image index", error)
        else:
            self.submit(IndexRebuilt())

    async def _has_claimed(self) -> bool:
        """Wait until this bridge is to read the index; False: another one that shares the database has done so."""
        while True:
            try:
                if await asyncio.to_thread(claim_rebuild, self.database):
                    return True
                if await asyncio.to_thread(is_rebuilt, self.database, "store"):
                    return False
            except StorageError as error:
                self.telemetry.storage_failed("reading the image index from the store", error)
            await asyncio.sleep(CLAIM_SECONDS)

    async def _drain(self, committer: GroupCommit, seconds: float) -> None:
        started = time.monotonic()
        self.flush()
        # Where the disk refuses, the next start takes the spool up as the database knows it.
        if await committer.commit():
            await self._close_left()
            await self.uploader.drain(max(0.0, seconds - (time.monotonic() - started)))
            await committer.commit()
        self._report_left()

    def _report_left(self) -> None:
        try:
            left = unstored(self.database)
        except StorageError as error:
            self.telemetry.storage_failed("images that were not uploaded", error)
            return
        if left.shards:
            self.telemetry.left_in_spool(
                left.shards, left.images, str(self.spool.folder), is_kept=self.keeps_spool
            )
