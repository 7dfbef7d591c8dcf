"""Check connections in the background, sooner where what the bridge sees of one contradicts its last check."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bridge.backoff import backoff_seconds
from bridge.connections.check import (
    TIMEOUT_SECONDS,
    Connection,
    ConnectionCheck,
    outcome,
    start_probe,
)
from bridge.telemetry import Telemetry

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
"""A connection that fails is tried again after pauses that grow from the one to the other."""

STATE = ("state_folder", "database")
"""What a commit goes to: a folder alone, or a database while the folder has the spool."""

QUIET_PAUSE_SECONDS = 600.0
"""A connection that works is tried again after this, unless its use fails before."""


class ConnectionWatch:
    """Knows what the last check of each connection showed."""

    def __init__(
        self,
        connections: Sequence[Connection],
        telemetry: Telemetry,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        quiet_pause_seconds: float = QUIET_PAUSE_SECONDS,
    ) -> None:
        """Check nothing before `running`."""
        self._connections = tuple(connections)
        self._telemetry = telemetry
        self._timeout_seconds = timeout_seconds
        self._first_pause_seconds = first_pause_seconds
        self._quiet_pause_seconds = quiet_pause_seconds
        self._checks = {
            one.name: ConnectionCheck(one.name, one.target, is_checked=False)
            for one in self._connections
        }
        self._contradicted = {one.name: asyncio.Event() for one in self._connections}

    def checks(self) -> tuple[ConnectionCheck, ...]:
        """Return the last check of each connection, without trying anything."""
        return tuple(self._checks.values())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Check every connection in the background until the block is left."""
        tasks = [
            asyncio.create_task(self._watch(one), name=f"check {one.name}")
            for one in self._connections
        ]
        former = self._telemetry.on_connection_used
        self._telemetry.on_connection_used = self._compare
        try:
            yield
        finally:
            self._telemetry.on_connection_used = former
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _compare(self, name: str, works: bool) -> None:  # noqa: FBT001 -- a callback
        """Take note of what the bridge itself has seen of a connection."""
        for each in STATE if name == "state" else (name,):
            last = self._checks.get(each)
            if last is not None and last.is_checked and works == bool(last.error):
                self._contradicted[each].set()

    async def _watch(self, connection: Connection) -> None:
        failures = futile = 0
        is_early = False
        while True:
            was_down = bool(self._checks[connection.name].error)
            self._contradicted[connection.name].clear()
            check = await self._try(connection)
            is_down = bool(check.error)
            failures = failures + 1 if is_down else 0
            futile = futile + 1 if is_early and is_down == was_down else 0
            is_early = await self._pause(connection.name, failures, futile)

    async def _try(self, connection: Connection) -> ConnectionCheck:
        # A probe that hangs is waited for, so that there is never more than one of a connection.
        attempt = start_probe(connection)
        try:
            await asyncio.wait([attempt], timeout=self._timeout_seconds)
            self._record(outcome(connection, attempt, self._timeout_seconds))
            await asyncio.wait([attempt])
        finally:
            attempt.cancel()
        check = outcome(connection, attempt, self._timeout_seconds)
        self._record(check)
        return check

    async def _pause(self, name: str, failures: int, futile: int) -> bool:
        """Wait until the next check; return whether it is early, since the last one was contradicted.

        It never comes before the first pause is over, and the later the more early ones in a row were `futile`.
        """
        seconds = self._pause_seconds(failures)
        least_seconds = min(
            seconds, self._pause_seconds(futile) if futile else self._first_pause_seconds
        )
        await asyncio.sleep(least_seconds)
        try:
            async with asyncio.timeout(seconds - least_seconds):
                await self._contradicted[name].wait()
        except TimeoutError:
            return False
        return True

    def _record(self, check: ConnectionCheck) -> None:
        before = self._checks[check.name]
        self._checks[check.name] = check
        if bool(check.error) != bool(before.error):
            # What was seen until now contradicted the check before this one.
            self._contradicted[check.name].clear()
        if check != before:
            self._telemetry.connection_changed(check.name, check.target, check.error)

    def _pause_seconds(self, failures: int) -> float:
        if not failures:
            return self._quiet_pause_seconds
        first = self._first_pause_seconds
        return first + backoff_seconds(
            failures - 1, first_seconds=first, longest_seconds=LONGEST_PAUSE_SECONDS
        )
