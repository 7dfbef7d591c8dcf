"""Deletes sessions that are old, or too many, once they have left memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bridge.background import running_beside
from bridge.committer import Committer
from bridge.sessions import Sessions
from bridge.sinks.deletions import DeletionRequests
from bridge.storage.database import Database
from bridge.storage.deletions import (
    ALL_ATTEMPTS,
    Archived,
    Deletion,
    ImageScope,
    archived_before,
    archived_beyond,
    attempts_beyond,
    whole_sessions,
)
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

DAY_SECONDS = 86_400.0
ROUND_SECONDS = 3_600.0
SESSIONS_PER_ROUND = 100
"""Attempts of sessions that are deleted in one go; the next go follows a second later."""


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """How long sessions are kept, and how many."""

    days: float
    """Since they were last heard of; 0: for good."""
    sessions: int
    """Out of memory, each attempt counted; 0: any number."""
    attempts: int
    """Of each session; 0: any number."""
    with_images: bool
    """Their images too, since they lie on a disk of this bridge."""

    @property
    def images(self) -> ImageScope:
        """Which images go with what is not kept."""
        return ImageScope.OWN if self.with_images else ImageScope.NONE


class Retention:
    """Finds what is no longer to be kept, and has it deleted."""

    def __init__(
        self,
        limits: RetentionLimits,
        *,
        sessions: Sessions,
        committer: Committer,
        requests: DeletionRequests,
        database: Database,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read `database`; what is deleted goes through `requests`."""
        self._limits = limits
        self._sessions = sessions
        self._committer = committer
        self._requests = requests
        self._database = database
        self._telemetry = telemetry
        self._clock = clock

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look every hour until the block is left."""
        async with running_beside(self._run(), name="retention"):
            yield

    async def _run(self) -> None:
        while True:
            try:
                deleted = await self.enforce()
            except Exception as error:  # noqa: BLE001 -- the next round may succeed
                self._telemetry.unexpected_error("retention", error)
                deleted = 0
            await asyncio.sleep(1.0 if deleted >= SESSIONS_PER_ROUND else ROUND_SECONDS)

    async def enforce(self) -> int:
        """Have what is over the limits deleted, SESSIONS_PER_ROUND attempts at most; return how many."""
        now = self._clock()
        surplus = await run_in_daemon_thread(lambda: self._surplus(now), name="retention")
        archived = [each for each in surplus if not self._is_in_memory(each)]
        gone = await run_in_daemon_thread(
            lambda: whole_sessions(self._database, archived), name="retention"
        )
        gone = [each for each in gone if not self._is_in_memory(each)]
        images, at_ms = self._limits.images, round(now * 1000)
        for one in gone:
            self._requests.add(Deletion(one.session_id, images, at_ms, one.attempt))
        if gone:
            self._telemetry.sessions_outdated(len(gone))
            await self._committer.commit()
        return len(archived)

    def _is_in_memory(self, one: Archived) -> bool:
        """Return whether an attempt has come back meanwhile: its registration read the row before it goes."""
        session = self._sessions.find(one.session_id)
        return session is not None and one.attempt in (ALL_ATTEMPTS, session.attempt)

    def _surplus(self, now: float) -> list[Archived]:
        limits = self._limits
        found: list[Archived] = []
        if limits.days:
            before = now - limits.days * DAY_SECONDS
            found += archived_before(self._database, round(before * 1000), SESSIONS_PER_ROUND)
        if limits.sessions:
            found += archived_beyond(self._database, limits.sessions, SESSIONS_PER_ROUND)
        if limits.attempts:
            found += attempts_beyond(self._database, limits.attempts, SESSIONS_PER_ROUND)
        return list(dict.fromkeys(found))[:SESSIONS_PER_ROUND]
