"""Close the shards of sessions that another bridge has, as they would be after a crash."""

import asyncio
from collections.abc import Iterable

from bridge.errors import StorageError
from bridge.sinks.images.shards.recovery import Outcome, RecoveryRun, recover_known
from bridge.sinks.images.shards.spool import Spool
from bridge.storage.aside import DamagedFolder
from bridge.storage.database import Database
from bridge.storage.shard_rows import ShardRows
from bridge.storage.shards import Shard, shard_of
from bridge.telemetry import Telemetry


class LeftShards:
    """What no commit has recorded of them is cut off; the rest is closed, and on its way to the store.

    This bridge alone writes their rows, whoever has the session.
    """

    def __init__(
        self, spool: Spool, database: Database, telemetry: Telemetry, aside: DamagedFolder
    ) -> None:
        """Start without any."""
        self.added = asyncio.Event()
        """Set when there are some that were not tried yet."""
        self._spool = spool
        self._database = database
        self._telemetry = telemetry
        self._aside = aside
        self._keys: dict[str, None] = {}
        self._turn = asyncio.Lock()

    @property
    def is_empty(self) -> bool:
        """Return whether there are none."""
        return not self._keys

    def add(self, shards: Iterable[Shard]) -> None:
        """Take shards that nothing is written to any more; called on the event loop."""
        for shard in shards:
            self._spool.leave(shard)
            self._keys[shard.key] = None
            self.added.set()

    async def close(self) -> list[Shard]:
        """Close them, and return those that are ready for the store; what the disk or the database refuses remains."""
        async with self._turn:
            return await self._close_all()

    async def _close_all(self) -> list[Shard]:
        closed = []
        for key in list(self._keys):
            try:
                outcome = await asyncio.to_thread(self._close, key)
            except (OSError, StorageError) as error:
                self._telemetry.recovery_failed(error)
                continue
            except Exception as error:  # noqa: BLE001 -- the next start recovers it, or sets it aside
                self._telemetry.unexpected_error("recovery of the spool", error)
                outcome = Outcome()
            del self._keys[key]
            for report in outcome.reports:
                report()
            for shard in outcome.recovered:
                self._spool.take_back(shard)
                closed.append(shard)
        return closed

    def _close(self, key: str) -> Outcome:
        outcome = Outcome()
        known = shard_of(self._database, key)
        if known is None:
            self._spool.path(key).unlink(missing_ok=True)
            return outcome
        with self._database.transaction() as transaction:
            run = RecoveryRun(
                self._spool,
                self._database,
                transaction,
                self._telemetry,
                self._aside,
                outcome,
                ShardRows(self._database, [known]),
            )
            closed = recover_known(known, run)
        if closed is not None:
            outcome.recovered.append(closed)
        return outcome
