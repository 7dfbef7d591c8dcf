"""Holds a page back until what it shows is on disk: a kill must not take back what Prometheus has seen."""

import asyncio
from collections.abc import Awaitable, Callable

WAIT_SECONDS = 1.0
"""Prometheus gives a scrape ten seconds by default; a database that is away is away for longer than this."""


class CommitGate:
    """Waits for the commit of all that has been consumed so far, but not for long."""

    def __init__(self, committed: Callable[[], Awaitable[None]]) -> None:
        """Call `committed`, which returns once everything consumed before the call is on disk."""
        self._committed = committed
        self._given_up: asyncio.Future[None] | None = None
        """What a page has waited for in vain: while it does not come, nothing later does."""

    async def passes(self) -> bool:
        """Return whether all that has been consumed by now is on disk, within WAIT_SECONDS."""
        if self._given_up is not None:
            if not self._given_up.done():
                return False
            self._given_up = None
        waiting = asyncio.ensure_future(self._committed())
        await asyncio.wait((waiting,), timeout=WAIT_SECONDS)
        if waiting.done():
            await waiting
            return True
        self._given_up = waiting
        return False


async def at_once() -> None:
    """Wait for nothing: for series that are kept nowhere."""
