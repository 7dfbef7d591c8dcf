"""The responses of one stream, on their way to its client."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from bridge.wire import metrics_pb2 as wire

OUTGOING_LIMIT = 1_000
"""Responses a client may leave unread; above it nothing more is read from its stream."""

Write = Callable[[wire.MetricsResponse], Awaitable[None]]


class Outgoing:
    """Responses in order, for the one task that writes."""

    def __init__(self) -> None:
        """Start with none."""
        self.wake = asyncio.Event()
        """Set when there may be something to write."""
        self._responses: deque[wire.MetricsResponse] = deque()
        self._has_written = asyncio.Event()
        self._writing_since: float | None = None

    def put(self, response: wire.MetricsResponse) -> None:
        """Have a response written."""
        self._responses.append(response)
        self.wake.set()

    def check_capacity(self) -> None:
        """Have `wait_for_capacity` look again."""
        self._has_written.set()

    def blocked_seconds(self, now: float) -> float:
        """Return for how long the client has not taken the response that is being written."""
        return 0.0 if self._writing_since is None else now - self._writing_since

    async def wait_for_capacity(self) -> None:
        """Wait until the client has read enough."""
        while len(self._responses) >= OUTGOING_LIMIT:
            self._has_written.clear()
            await self._has_written.wait()

    async def write_all(self, write: Write) -> None:
        """Write what there is, and what comes meanwhile."""
        while self._responses:
            self._writing_since = time.monotonic()
            await write(self._responses.popleft())
            self._writing_since = None
            self._has_written.set()
