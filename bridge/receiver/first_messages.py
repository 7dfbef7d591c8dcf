"""Bounds how many clients may be sending a message before anything is known of them.

A message is in memory before it can be looked at, whoever sends it. Who has not registered therefore has to
wait for a turn, and what it sends meanwhile stays in its own machine (HTTP/2 flow control).
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.errors import LimitError

FULL = "too many clients that have not registered are sending a message (--max-first-messages); try again"

SHARE = 4
"""One address may have this part of all turns."""


class Turn:
    """The right to send a message, until it has shown who sends it."""

    def __init__(self, turns: "FirstMessages", host: str) -> None:
        """Begin the turn of a host."""
        self._turns = turns
        self._host = host
        self._is_over = False
        self._since = time.monotonic()

    def is_overdue(self, now: float, seconds: float) -> bool:
        """Return whether it has taken longer than that, and keeps another one waiting."""
        return (
            not self._is_over and now - self._since > seconds and self._turns.is_needed(self._host)
        )

    def end(self) -> None:
        """Let the next one have its turn; twice is the same as once."""
        if not self._is_over:
            self._is_over = True
            self._turns.give_back(self._host)


class FirstMessages:
    """So many turns at once, and a part of them for each address."""

    def __init__(self, limit: int, seconds: float) -> None:
        """Nobody waits longer than `seconds` for a turn."""
        self._limit = limit
        self._limit_per_host = max(1, limit // SHARE)
        self._seconds = seconds
        self._taken: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], str] = {}
        """The hosts of those that wait, in the order in which they came."""

    def is_needed(self, host: str) -> bool:
        """Return whether somebody waits who could have a turn of this host."""
        return any(
            waiting == host or self._taken[waiting] < self._limit_per_host
            for waiting in self._waiting.values()
        )

    async def take(self, host: str) -> Turn:
        """Wait for a turn; raises LimitError where none comes."""
        if self._has_turn(host):
            self._taken[host] += 1
        else:
            await self._wait(host)
        return Turn(self, host)

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Hold a turn while the block lasts."""
        turn = await self.take(host)
        try:
            yield
        finally:
            turn.end()

    def give_back(self, host: str) -> None:
        """Give a turn to the next one that may have it."""
        self._taken[host] -= 1
        if not self._taken[host]:
            del self._taken[host]
        for future, waiting in self._waiting.items():
            if not future.done() and self._has_turn(waiting):
                self._taken[waiting] += 1
                future.set_result(None)
                return

    def _has_turn(self, host: str) -> bool:
        is_free = self._taken.total() < self._limit
        return is_free and self._taken[host] < self._limit_per_host

    async def _wait(self, host: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = host
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.shield(turn)
        except BaseException as error:
            if turn.done():  # given in the same moment
                self.give_back(host)
            if isinstance(error, TimeoutError):
                raise LimitError(FULL) from None
            raise
        finally:
            del self._waiting[turn]
