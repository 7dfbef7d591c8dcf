"""Adopts the sessions of bridges that are dead, so that they end, and their spans are delivered."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bridge.background import running_beside
from bridge.errors import StorageError
from bridge.ownership.taking import Taking
from bridge.storage.owners import OwnerRows
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

LOOK_SECONDS = 5.0
"""How often it is looked for bridges that are dead."""

SESSIONS_PER_STEP = 16
"""So few at once that every bridge which lives takes its part."""

STEP_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Orphans:
    """Looks for bridges that have not been seen for a while."""

    rows: OwnerRows
    taking: Taking
    telemetry: Telemetry
    dead_seconds: float = 30.0
    """After which a bridge that was not seen is dead."""
    catch_up: Callable[[], object] = lambda: None
    """Has a commit find out what this bridge has lost itself."""
    strays: Callable[[Sequence[str]], Sequence[str]] = lambda _owned: ()
    """Returns which of the sessions that it owns nobody has in memory, or has asked for."""
    give_up: Callable[[Iterable[str]], object] = lambda _names: None
    """Has sessions owned no more with the next commit."""
    note_shares: Callable[[Mapping[str, int]], object] = lambda _shares: None
    """Called now and then with how many sessions each bridge has that lives."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Adopt until the block is left."""
        async with running_beside(self._run(), name="orphans"):
            yield

    async def adopt_some(self) -> Sequence[str]:
        """Adopt a few sessions, and return which. Raises StorageError."""
        taken = await run_in_daemon_thread(
            lambda: self.rows.take_orphans(
                silent_seconds=self.dead_seconds, most=SESSIONS_PER_STEP
            ),
            name="orphans",
        )
        await self.taking.adopt(taken.names)
        if taken.names:
            self.telemetry.takeovers.adopted(len(taken.names), taken.former)
        return taken.names

    async def adopt_own(self) -> None:
        """Restore what this bridge owned when it stopped, and nobody has taken since. Raises StorageError.

        Before anything is given up: whatever is not in memory would be a stray.
        """
        owned = await run_in_daemon_thread(self.rows.mine, name="orphans")
        await self.taking.adopt(owned)

    async def take_care_of_strays(self) -> None:
        """Restore what was taken and could not be read then, and own no more what was registered in vain.

        Others would take either for alive. Raises StorageError.
        """
        owned = await run_in_daemon_thread(self.rows.mine, name="orphans")
        self.give_up(await self.taking.adopt(sorted(self.strays(owned))))

    async def _look_at_shares(self) -> None:
        seconds = self.dead_seconds
        shares = await run_in_daemon_thread(lambda: self.rows.shares(seconds), name="orphans")
        self.note_shares(shares)

    async def _adopt_all(self) -> None:
        while await self.adopt_some():
            await _sleep(STEP_SECONDS)

    async def _run(self) -> None:
        while True:
            for step in (self.take_care_of_strays, self._look_at_shares, self._adopt_all):
                await self._attempt(step)
            await _sleep(LOOK_SECONDS)

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take one step of a look; where it fails, time after time, the others are taken for all that."""
        try:
            await step()
        except StorageError as error:
            self.telemetry.storage_failed("orphans", error)
            self.catch_up()
        except Exception as error:  # noqa: BLE001 -- the next look may succeed
            self.telemetry.unexpected_error("orphans", error)


async def _sleep(seconds: float) -> None:
    """Sleep for about so long: bridges that began together do not look together."""
    await asyncio.sleep(seconds * random.uniform(0.5, 1.5))
