"""Takes sessions for this bridge as their clients come, and lets go of those that others take."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from bridge.commit_group import Fenced
from bridge.errors import StorageError
from bridge.lifecycle import Moved
from bridge.ownership.release import Releases
from bridge.ownership.taking import Taking
from bridge.session import Session
from bridge.sessions import Sessions
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

ATTEMPT_SECONDS = 3.0
"""How long a session is tried to be taken before its client is asked to come back."""

PAUSE_SECONDS = 0.05
"""Between two attempts."""

CROWDED = 1.25
"""So much more than the average of all bridges is more than its share, and one session at that."""

MOVED = Moved()


class Registry(Protocol):
    """What drops sessions."""

    def drop(self, session: Session, event: Moved, /) -> None:
        """Let a session leave memory, and every sink with it."""


class Ownership:
    """What this bridge has, and others may take."""

    def __init__(
        self,
        taking: Taking,
        releases: Releases,
        sessions: Sessions,
        registry: Registry,
        telemetry: Telemetry,
        *,
        committed: Callable[[], Awaitable[None]],
    ) -> None:
        """Take sessions by `taking`; those that are lost are dropped from `registry`.

        `committed` waits until all that happened by now is in the database.
        """
        self._committed = committed
        self._taking = taking
        self._sessions = sessions
        self._registry = registry
        self._telemetry = telemetry
        self._releases = releases
        self._shares: Mapping[str, int] = {}
        self.on_lost: Callable[[str], None] = lambda _session_id: None
        """Called with each session that another bridge has taken."""

    async def acquire(self, session_id: str) -> Session | None:
        """Return a session in the memory of this bridge, taken from another one where that has it.

        None: there is none that is live or lingers; the name is this bridge's now. Raises StorageError where it
        cannot be had within ATTEMPT_SECONDS.
        """
        until = time.monotonic() + ATTEMPT_SECONDS
        while True:
            session = self._sessions.find(session_id)
            if session is not None:
                return session
            try:
                await self._releases.settled(session_id)
                if await self._taking.take(session_id):
                    return self._sessions.find(session_id)
            except StorageError:
                if time.monotonic() >= until:
                    raise
            if time.monotonic() >= until:
                raise StorageError("another bridge takes this session at the same moment")
            await asyncio.sleep(PAUSE_SECONDS)

    async def committed(self) -> None:
        """Wait until all that happened by now is known to the other bridges."""
        await self._committed()

    async def find(self, session_id: str) -> Session | None:
        """Return a session as it stands on the bridge that has it, or None; it stays there. Raises StorageError."""
        return await run_in_daemon_thread(lambda: self._taking.peek(session_id), name="ownership")

    def on_fenced(self, fenced: Fenced) -> None:
        """Let go of all sessions that other bridges have taken."""
        lost = [
            session
            for session in self._sessions
            if session.id not in fenced.owned and self._taking.taken_at(session.id) < fenced.since
        ]
        for session in lost:
            self._telemetry.session_changed(session.id, "taken by another bridge")
            self._registry.drop(session, MOVED)
            self.on_lost(session.id)
        self._telemetry.takeovers.lost(len(lost))

    @property
    def is_crowded(self) -> bool:
        """Whether this bridge has more sessions than its share, by the last look at all that live."""
        counts = self._shares.values()
        return bool(counts) and len(self._sessions) > CROWDED * sum(counts) / len(counts) + 1

    def note_shares(self, shares: Mapping[str, int]) -> None:
        """Note how many sessions each bridge has that lives."""
        self._shares = shares

    def strays(self, owned: Sequence[str]) -> list[str]:
        """Return what is owned without being in memory, being given up, or having just been asked for by anybody."""
        return [
            name
            for name in owned
            if self._sessions.find(name) is None
            and not self._taking.is_recent(name)
            and not self._releases.is_giving_up(name)
        ]
