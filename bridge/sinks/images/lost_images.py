"""Look for bridges that are gone with images which only their disks had, and count these as lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bridge.background import running_beside
from bridge.errors import StorageError
from bridge.sinks.images.accounting import ImageAccounting
from bridge.storage.database import Database
from bridge.storage.image_counts import ImageCount
from bridge.storage.lost_shards import lost_totals, mark_lost
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

LOOK_SECONDS = 20.0
"""How often it is looked for bridges that are gone, and for what other bridges have found."""


@dataclass(frozen=True, slots=True)
class LostImages:
    """Every bridge looks; whichever comes first marks them, and the one that has a session counts them in its series."""

    database: Database
    accounting: ImageAccounting
    telemetry: Telemetry
    forget_seconds: float
    """After which a bridge that was not seen is gone."""
    look_seconds: float = LOOK_SECONDS

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look until the block is left."""
        async with running_beside(self._run(), name="lost images"):
            yield

    async def look(self) -> None:
        """Look once. Raises StorageError."""
        sessions = frozenset(self.accounting.sessions)
        totals = await run_in_daemon_thread(lambda: self._look(sessions), name="lost images")
        for total in totals:
            self.accounting.record_lost(total)

    def _look(self, sessions: Collection[str]) -> list[ImageCount]:
        for lost in mark_lost(self.database, silent_seconds=self.forget_seconds):
            self.telemetry.takeovers.images_lost(
                lost.session_id, lost.images, shards=lost.shards, bridge_id=lost.bridge_id
            )
        return lost_totals(self.database, sessions) if sessions else []

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.look_seconds * random.uniform(0.5, 1.5))
            try:
                await self.look()
            except StorageError as error:
                self.telemetry.storage_failed("lost images", error)
            except Exception as error:  # noqa: BLE001 -- the next look may succeed
                self.telemetry.unexpected_error("lost images", error)
