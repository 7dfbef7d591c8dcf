"""Bring spans from the outbox to the OTLP endpoint, however long that takes."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Protocol

from bridge.backoff import backoff_seconds
from bridge.sinks.spans.span import Span
from bridge.storage.outbox import SpanOutbox
from bridge.telemetry import Telemetry

SPANS_PER_EXPORT = 128
"""Few enough for any endpoint's message limit, as texts are cut."""

SUSPICIOUS_FAILURES = 3
"""After so many in a row it may be a span that no endpoint takes, rather than the endpoint."""

ACCUSATIONS = 3
"""So often a span is refused alone, while others are taken, before it is dropped."""

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0


Waiting = tuple[int, Span]
"""A span, and its number in the outbox."""


class Exporter(Protocol):
    """Sends spans; both methods block."""

    def export(self, spans: list[Span]) -> bool:
        """Return whether the endpoint has taken all of them."""

    def close(self) -> None:
        """Give up what is being exported, and close connections."""


class Delivery:
    """Exports what waits in the outbox, oldest first, and tries again until it is taken."""

    def __init__(
        self,
        outbox: SpanOutbox,
        exporter: Exporter,
        telemetry: Telemetry,
        *,
        waiting: asyncio.Event,
        first_backoff_seconds: float = FIRST_BACKOFF_SECONDS,
    ) -> None:
        """Start whenever `waiting` is set; what waits already goes at once."""
        self._outbox = outbox
        self._exporter = exporter
        self._telemetry = telemetry
        self._waiting = waiting
        self._first_backoff_seconds = first_backoff_seconds
        self._stopping = asyncio.Event()
        self._accused: Counter[int] = Counter()
        self._is_over = False
        """The grace is over: the database may close before an export that hangs comes back."""

    @asynccontextmanager
    async def running(self, *, grace_seconds: float) -> AsyncIterator[None]:
        """Deliver in the background; on the way out what waits gets one more chance within the grace."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="spans")
        task = asyncio.create_task(self._deliver(thread), name="spans")
        try:
            yield
        finally:
            self._stopping.set()
            self._waiting.set()
            await asyncio.wait([task], timeout=grace_seconds)
            self._is_over = True
            await asyncio.to_thread(self._exporter.close)
            task.cancel()
            await asyncio.wait([task])
            thread.shutdown(wait=False, cancel_futures=True)

    async def _deliver(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            self._waiting.clear()
            taken = await loop.run_in_executor(thread, self._deliver_some, failures)
            failures = 0 if taken is not False else failures + 1
            if self._stopping.is_set() and not taken:
                return
            if taken is False:
                await self._back_off(failures)
            elif taken is None:
                await self._waiting.wait()

    async def _back_off(self, failures: int) -> None:
        """Wait before the next attempt, or until delivery stops."""
        wait_seconds = backoff_seconds(
            failures - 1,
            first_seconds=self._first_backoff_seconds,
            longest_seconds=LONGEST_BACKOFF_SECONDS,
        )
        try:
            async with asyncio.timeout(wait_seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _deliver_some(self, failures: int) -> bool | None:
        """Return whether the endpoint took the oldest spans; None: there were none."""
        try:
            waiting = self._readable(self._outbox.oldest(SPANS_PER_EXPORT))
            is_taken = self._delivered(waiting, failures) if waiting else None
            self._telemetry.spans_waiting(self._outbox.count())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the spans are safe and are tried again
            if not self._is_over:
                self._telemetry.unexpected_error("spans", error)
            return False
        if is_taken is False:
            self._telemetry.span_export_failed(len(waiting))
        return is_taken

    def _readable(self, rows: list[tuple[int, str]]) -> list[Waiting]:
        """Return the spans of rows; a row that is damaged is dropped, or it would block all behind it."""
        waiting, damaged = [], []
        for number, text in rows:
            try:
                waiting.append((number, Span.from_json(text)))
            except (ValueError, KeyError, TypeError):
                damaged.append(number)
        if damaged:
            self._outbox.remove(damaged)
            self._telemetry.spans_dropped(len(damaged), "damaged")
        return waiting

    def _delivered(self, waiting: list[Waiting], failures: int) -> bool:
        if self._exporter.export([span for _, span in waiting]):
            self._taken(waiting)
            return True
        return failures >= SUSPICIOUS_FAILURES and self._sorted_out(waiting)

    def _sorted_out(self, waiting: list[Waiting]) -> bool:
        """Deliver what can be, and drop a span that the endpoint refuses while it takes others.

        Halves are drawn by chance, so that several such spans come apart sooner or later. In an outage
        neither half is taken, and nothing is dropped. Return whether anything was taken.
        """
        suspects, is_any_taken = list(waiting), False
        while len(suspects) > 1 and not self._stopping.is_set():
            random.shuffle(suspects)
            middle = len(suspects) // 2
            refused = []
            for half in (suspects[:middle], suspects[middle:]):
                if self._exporter.export([span for _, span in half]):
                    self._taken(half)
                    is_any_taken = True
                else:
                    refused.append(half)
            if len(refused) != 1:
                return is_any_taken
            [suspects] = refused
        if is_any_taken and len(suspects) == 1:
            self._accuse(suspects[0][0])
        return is_any_taken

    def _accuse(self, number: int) -> None:
        """Drop a span that was refused alone, with others taken, often enough to exclude chance."""
        self._accused[number] += 1
        if self._accused[number] >= ACCUSATIONS:
            del self._accused[number]
            self._outbox.remove([number])
            self._telemetry.spans_dropped(1, "refused")

    def _taken(self, waiting: list[Waiting]) -> None:
        self._outbox.remove(number for number, _ in waiting)
        self._telemetry.spans_exported(len(waiting))
