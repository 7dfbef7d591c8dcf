"""Delivers spans from the outbox to the OTLP endpoint, however long that takes."""

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
"""Few enough for the message limit of any endpoint, as texts are cut."""

SUSPICIOUS_FAILURES = 3
"""After this many in a row the cause may be a span that no endpoint accepts, rather than an outage."""

REJECTIONS_LIMIT = 3
"""How often a span is rejected alone, while others are accepted, before it is dropped."""

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0


NumberedSpan = tuple[int, Span]
"""A span with its number in the outbox."""


class Exporter(Protocol):
    """Sends spans; both methods block."""

    def export(self, spans: list[Span]) -> bool:
        """Return whether the endpoint has accepted all of them."""

    def close(self) -> None:
        """Abort an export that is running, and close connections."""


class Delivery:
    """Exports the spans in the outbox, oldest first, and retries until they are accepted."""

    def __init__(
        self,
        outbox: SpanOutbox,
        exporter: Exporter,
        telemetry: Telemetry,
        *,
        waiting: asyncio.Event,
        first_backoff_seconds: float = FIRST_BACKOFF_SECONDS,
    ) -> None:
        """Export whenever `waiting` is set; spans already in the outbox are exported at once."""
        self._outbox = outbox
        self._exporter = exporter
        self._telemetry = telemetry
        self._waiting = waiting
        self._first_backoff_seconds = first_backoff_seconds
        self._stopping = asyncio.Event()
        self._rejections: Counter[int] = Counter()
        self._is_grace_over = False
        """Whether the database may be closed before an export that hangs returns."""

    @asynccontextmanager
    async def running(self, *, grace_seconds: float) -> AsyncIterator[None]:
        """Deliver in the background; on leaving, the spans that wait get one more attempt within the grace."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="spans")
        task = asyncio.create_task(self._deliver(thread), name="spans")
        try:
            yield
        finally:
            self._stopping.set()
            self._waiting.set()
            await asyncio.wait([task], timeout=grace_seconds)
            self._is_grace_over = True
            await asyncio.to_thread(self._exporter.close)
            task.cancel()
            await asyncio.wait([task])
            thread.shutdown(wait=False, cancel_futures=True)

    async def _deliver(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            self._waiting.clear()
            accepted = await loop.run_in_executor(thread, self._export_oldest, failures)
            failures = 0 if accepted is not False else failures + 1
            if self._stopping.is_set() and not accepted:
                return
            if accepted is False:
                await self._back_off(failures)
            elif accepted is None:
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

    def _export_oldest(self, failures: int) -> bool | None:
        """Return whether the endpoint accepted the oldest spans, or any of them; None: there were none."""
        try:
            waiting = self._readable(self._outbox.oldest(SPANS_PER_EXPORT))
            is_accepted = self._export(waiting, failures) if waiting else None
            self._telemetry.spans_waiting(self._outbox.count())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the spans are safe and are retried
            if not self._is_grace_over:
                self._telemetry.unexpected_error("spans", error)
            return False
        if is_accepted is False:
            self._telemetry.span_export_failed(len(waiting))
        return is_accepted

    def _readable(self, rows: list[tuple[int, str]]) -> list[NumberedSpan]:
        """Return the spans of rows; a damaged row is dropped, or it would block all those after it."""
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

    def _export(self, waiting: list[NumberedSpan], failures: int) -> bool:
        if self._exporter.export([span for _, span in waiting]):
            self._remove_exported(waiting)
            return True
        return failures >= SUSPICIOUS_FAILURES and self._bisect_rejected(waiting)

    def _bisect_rejected(self, waiting: list[NumberedSpan]) -> bool:
        """Export in halves to find a span that the endpoint rejects; return whether any span was accepted.

        The halves are random, so that several such spans end up in different ones sooner or later. In an
        outage both halves fail, and no span is blamed.
        """
        suspects, is_any_accepted = list(waiting), False
        while len(suspects) > 1 and not self._stopping.is_set():
            random.shuffle(suspects)
            middle = len(suspects) // 2
            rejected = []
            for half in (suspects[:middle], suspects[middle:]):
                if self._exporter.export([span for _, span in half]):
                    self._remove_exported(half)
                    is_any_accepted = True
                else:
                    rejected.append(half)
            if len(rejected) != 1:
                return is_any_accepted
            [suspects] = rejected
        if is_any_accepted and len(suspects) == 1:
            self._count_rejection(suspects[0][0])
        return is_any_accepted

    def _count_rejection(self, number: int) -> None:
        """Drop a span that was rejected alone, while others were accepted, often enough to exclude chance."""
        self._rejections[number] += 1
        if self._rejections[number] >= REJECTIONS_LIMIT:
            del self._rejections[number]
            self._outbox.remove([number])
            self._telemetry.spans_dropped(1, "refused")

    def _remove_exported(self, waiting: list[NumberedSpan]) -> None:
        self._outbox.remove(number for number, _ in waiting)
        self._telemetry.spans_exported(len(waiting))
