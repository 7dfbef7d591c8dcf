"""Delivers spans from the outbox to the OTLP endpoint, however long that takes."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol, TypeVar

from bridge.backoff import backoff_seconds
from bridge.errors import StorageError
from bridge.sinks.spans.span import Span
from bridge.storage.outbox import SpanOutbox
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

Result = TypeVar("Result")

SPANS_PER_EXPORT = 128
"""Few enough for the message limit of any endpoint, as texts are cut."""

SUSPICIOUS_FAILURES = 3
"""After this many refusals in a row the cause may be a span that no endpoint accepts."""

REJECTIONS_LIMIT = 3
"""How often a span is rejected alone, while others are accepted, before it is dropped."""

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0

SHARED_IDLE_SECONDS = 15.0
"""How often an outbox is looked into that other bridges add to: one of them may have died before it sent its spans."""

NumberedSpan = tuple[int, Span]
"""A span with its number in the outbox."""


class Answer(Protocol):
    """What an endpoint says about spans that it has accepted."""

    @property
    def rejected(self) -> int:
        """How many of them it has not taken, and never will."""

    @property
    def message(self) -> str:
        """Why, or a warning; "": nothing."""


class Exporter(Protocol):
    """Sends spans."""

    async def export(self, spans: list[Span]) -> Answer:
        """Return what the endpoint says when it has accepted spans; raises StorageError when it has not.

        An error may have `retry_after_seconds`, and `is_refusal` where the spans themselves may be the reason.
        """

    async def close(self) -> None:
        """Close connections."""


class Delivery:
    """Exports the spans in the outbox, oldest first, and retries until they are accepted."""

    def __init__(
        self,
        outbox: SpanOutbox,
        exporter: Exporter,
        telemetry: Telemetry,
        *,
        waiting: asyncio.Event,
        keeps_outbox: bool = True,
        first_backoff_seconds: float = FIRST_BACKOFF_SECONDS,
    ) -> None:
        """Export whenever `waiting` is set; spans already in the outbox are exported at once.

        `keeps_outbox`: it outlives this process.
        """
        self._outbox = outbox
        self._exporter = exporter
        self._telemetry = telemetry
        self._waiting = waiting
        self._keeps_outbox = keeps_outbox
        self._first_backoff_seconds = first_backoff_seconds
        self._stopping = asyncio.Event()
        self._rejections: Counter[int] = Counter()

    @asynccontextmanager
    async def running(self, *, grace_seconds: float) -> AsyncIterator[None]:
        """Deliver in the background; on leaving, the spans that wait get one more attempt within the grace."""
        task = asyncio.create_task(self._deliver(), name="spans")
        try:
            yield
        finally:
            self._stopping.set()
            self._waiting.set()
            await asyncio.wait([task], timeout=grace_seconds)
            task.cancel()
            await asyncio.wait([task])
            await self._exporter.close()
            if not self._outbox.is_shared:
                await self._report_left()

    async def _report_left(self) -> None:
        try:
            left = await self._in_thread(self._outbox.count)
        except StorageError as error:
            self._telemetry.storage_failed("spans that were not exported", error)
            return
        if left:
            self._telemetry.left_in_outbox(left, is_kept=self._keeps_outbox)

    async def _deliver(self) -> None:
        failures = 0
        while True:
            self._waiting.clear()
            retry_after_seconds = 0.0
            try:
                is_accepted = await self._export_oldest(failures)
            except StorageError as error:
                is_accepted = False
                retry_after_seconds = getattr(error, "retry_after_seconds", 0.0)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the spans are safe and are retried
                is_accepted = False
                self._telemetry.unexpected_error("spans", error)
            failures = 0 if is_accepted is not False else failures + 1
            if self._stopping.is_set() and not is_accepted:
                return
            if is_accepted is False:
                await self._back_off(failures, retry_after_seconds)
            elif is_accepted is None:
                await self._wait_for_spans()

    async def _wait_for_spans(self) -> None:
        """Wait until spans have been committed, here or by another bridge."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SHARED_IDLE_SECONDS if self._outbox.is_shared else None):
                await self._waiting.wait()

    async def _back_off(self, failures: int, retry_after_seconds: float) -> None:
        """Wait before the next attempt, or until delivery stops."""
        wait_seconds = backoff_seconds(
            failures - 1,
            first_seconds=self._first_backoff_seconds,
            longest_seconds=LONGEST_BACKOFF_SECONDS,
        )
        try:
            async with asyncio.timeout(max(wait_seconds, retry_after_seconds)):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _export_oldest(self, failures: int) -> bool | None:
        """Return whether the endpoint accepted the oldest spans, or any of them; None: there were none."""
        waiting = await self._in_thread(self._take_oldest)
        if not waiting:
            return None
        try:
            await self._export(waiting)
        except StorageError as error:
            self._telemetry.span_export_failed(len(waiting), error)
            if not getattr(error, "is_refusal", False) or failures < SUSPICIOUS_FAILURES:
                # Another bridge may reach the endpoint.
                await self._in_thread(lambda: self._outbox.release([one for one, _ in waiting]))
                raise
            return await self._bisect_rejected(waiting)
        finally:
            await self._in_thread(lambda: self._telemetry.spans_waiting(self._outbox.count()))
        return True

    async def _in_thread(self, function: Callable[[], Result]) -> Result:
        """Run a function that uses the database, which may block for as long as its disk does."""
        return await run_in_daemon_thread(function, name="spans")

    def _take_oldest(self) -> list[NumberedSpan]:
        self._telemetry.spans_waiting(self._outbox.count())
        return self._readable(self._outbox.take_oldest(SPANS_PER_EXPORT))

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

    async def _export(self, waiting: list[NumberedSpan]) -> None:
        """Export spans, and remove them; raises StorageError when they are not accepted."""
        answer = await self._exporter.export([span for _, span in waiting])
        await self._in_thread(lambda: self._outbox.remove(number for number, _ in waiting))
        rejected = min(answer.rejected, len(waiting))
        self._telemetry.spans_exported(len(waiting) - rejected)
        if rejected or answer.message:
            self._telemetry.spans_rejected(rejected, answer.message)

    async def _bisect_rejected(self, waiting: list[NumberedSpan]) -> bool:
        """Export in halves to find a span that the endpoint refuses; return whether any span was accepted.

        The halves are random, so that several such spans end up in different ones sooner or later. Where the
        endpoint refuses everything both halves fail, and no span is blamed.
        """
        suspects, is_any_accepted = list(waiting), False
        while len(suspects) > 1 and not self._stopping.is_set():
            random.shuffle(suspects)
            middle = len(suspects) // 2
            refused = []
            for half in (suspects[:middle], suspects[middle:]):
                try:
                    await self._export(half)
                    is_any_accepted = True
                except StorageError:
                    refused.append(half)
            if len(refused) != 1:
                return is_any_accepted
            [suspects] = refused
        if is_any_accepted and len(suspects) == 1:
            await self._count_rejection(suspects[0][0])
        return is_any_accepted

    async def _count_rejection(self, number: int) -> None:
        """Drop a span that was refused alone, while others were accepted, often enough to exclude chance."""
        self._rejections[number] += 1
        if self._rejections[number] >= REJECTIONS_LIMIT:
            del self._rejections[number]
            await self._in_thread(lambda: self._outbox.remove([number]))
            self._telemetry.spans_dropped(1, "refused")
