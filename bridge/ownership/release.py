"""Gives up sessions that have left memory, and says that this bridge lives where it commits nothing else."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bridge.lifecycle import Event, Expired
from bridge.session import Session
from bridge.storage.owners import OwnerRows
from bridge.storage.transaction import Transaction

SIGN_OF_LIFE_SECONDS = 1.0
"""A bridge that commits nothing is seen this often: others learn from it that it lives, and it from them what it lost."""


class Releases:
    """A durable sink of sessions that have left memory, which also says now and then that the bridge lives."""

    def __init__(self, rows: OwnerRows, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Write with `rows`."""
        self._rows = rows
        self._clock = clock
        self._waiting: set[str] = set()
        self._in_flight: dict[str, asyncio.Event] = {}
        self._written_at = 0.0

    def consume(self, session: Session, event: Event, _received: float) -> None:
        """Have a session that leaves memory given up with the next commit."""
        if type(event) is Expired:
            self.give_up([session.id])

    def give_up(self, names: Iterable[str]) -> None:
        """Have sessions given up with the next commit; whoever asks for one waits for it."""
        for name in names:
            self._waiting.add(name)
            self._in_flight.setdefault(name, asyncio.Event())

    def ask(self) -> None:
        """Write with the next commit in any case: it finds out what other bridges have taken."""
        self._written_at = -math.inf

    def is_giving_up(self, session_id: str) -> bool:
        """Return whether a session is being given up, and no commit has said so yet."""
        return session_id in self._in_flight

    async def settled(self, session_id: str) -> None:
        """Wait until a session that is being given up is nobody's."""
        done = self._in_flight.get(session_id)
        if done is not None:
            await done.wait()

    def collect(self) -> "ReleaseWrite | None":
        """Return what to write; None where there is nothing, and other commits show that the bridge lives."""
        names, self._waiting = frozenset(self._waiting), set()
        now = self._clock()
        if not names and now - self._written_at < SIGN_OF_LIFE_SECONDS:
            return None
        self._written_at = now
        return ReleaseWrite(self, self._rows, names)

    def on_written(self, names: frozenset[str]) -> None:
        """Let those go on who wait for it."""
        for name in names - self._waiting:
            self._in_flight.pop(name, asyncio.Event()).set()


@dataclass(frozen=True, slots=True)
class ReleaseWrite:
    """The sessions to give up; with none of them, a sign of life."""

    releases: Releases
    rows: OwnerRows
    names: frozenset[str]

    def write(self, transaction: Transaction) -> None:
        """Give them up, but for those that another bridge has already."""
        self.rows.release(transaction, self.names)

    def on_committed(self) -> None:
        """Let those go on who wait for it."""
        self.releases.on_written(self.names)
