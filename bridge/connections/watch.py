"""Check connections in the background for as long as a bridge runs."""

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

QUIET_PAUSE_SECONDS = 600.0
"""A connection that works is tried again after this."""


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
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, connection: Connection) -> None:
        failures = 0
        while True:
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
            failures = failures + 1 if check.error else 0
            await asyncio.sleep(self._pause_seconds(failures))

    def _record(self, check: ConnectionCheck) -> None:
        before = self._checks[check.name]
        self._checks[check.name] = check
        if check != before:
            self._telemetry.connection_changed(check.name, check.target, check.error)

    def _pause_seconds(self, failures: int) -> float:
        if not failures:
            return self._quiet_pause_seconds
        first = self._first_pause_seconds
        return first + backoff_seconds(
            failures - 1, first_seconds=first, longest_seconds=LONGEST_PAUSE_SECONDS
        )
