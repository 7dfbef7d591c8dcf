"""Turns what happens to sessions into spans in the outbox."""

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bridge.lifecycle import (
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Event,
    Expired,
    Moved,
    Registered,
)
from bridge.model import Batch, Epoch, Occurrence, Performance, Stage, Status, StatusChange
from bridge.session import Session
from bridge.sinks.spans.aliases import with_dl_attributes
from bridge.sinks.spans.clock import ClockSteps
from bridge.sinks.spans.events import to_span_event
from bridge.sinks.spans.links import Pages
from bridge.sinks.spans.span import Outcome, Span, SpanLink
from bridge.sinks.spans.trace import Trace
from bridge.sinks.spans.windows import NO_WINDOWS, WindowLimits
from bridge.storage.outbox import SpanOutbox, WaitingSpan
from bridge.storage.transaction import Transaction
from bridge.telemetry import Telemetry
from bridge.trace_context import span_id_of, trace_id_of

CHECKPOINT_KEY = "trace"
"""The key of a session's trace in a checkpoint."""


@dataclass(frozen=True, slots=True)
class SpanOptions:
    """What spans are made beside those that each session has."""

    windows: WindowLimits = NO_WINDOWS
    """Of running epochs."""
    has_dl_attributes: bool = False
    """Attributes have the names of NeMo Lens beside ours."""


DEFAULT_OPTIONS = SpanOptions()


class Spans:
    """A durable sink of finished spans."""

    name = CHECKPOINT_KEY

    def __init__(
        self,
        outbox: SpanOutbox,
        telemetry: Telemetry,
        *,
        public_url: str = "",
        options: SpanOptions = DEFAULT_OPTIONS,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        """Write spans to `outbox`.

        `monotonic` is the clock that measures durations; without it the wall clock is trusted.
        """
        self.pages = Pages(public_url)
        self.waiting = asyncio.Event()
        """Set whenever spans have been committed."""
        self._options = options
        self._outbox = outbox
        self._telemetry = telemetry
        self._clock_steps = ClockSteps(monotonic) if monotonic is not None else None
        self._traces: dict[str, Trace] = {}
        self._finished: list[tuple[str, Span]] = []
        """With the session of each."""

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Apply an event.

        A span ends at the time of the wall clock and has its true duration: the times of open spans are
        shifted when the wall clock is set.
        """
        step = self._clock_steps.step(received) if self._clock_steps is not None else 0.0
        if step:
            for trace in self._traces.values():
                trace.shift(step)
        self._apply(session, event, received)

    def _apply(self, session: Session, event: Event, received: float) -> None:
        apply = _APPLY.get(type(event))
        if isinstance(event, Moved):
            self._discard(session.id)
        if apply is None:
            return
        trace = self._traces.get(session.id)
        if trace is None or trace.attempt != session.attempt:
            trace = self._begin(session)
        apply(self, session, trace, event, received)

    def replay(self, session: Session, event: Event, received: float) -> None:
        """Apply an event again: the spans that it finished are in the outbox already, or delivered."""
        state = session.restored_state.get(CHECKPOINT_KEY)
        if session.id not in self._traces and (
            state is None or state["attempt"] != session.attempt
        ):
            return  # there was no endpoint then: the trace begins now
        before = len(self._finished)
        self._apply(session, event, received)
        del self._finished[before:]

    def snapshot(self, session: Session) -> dict[str, Any] | None:
        """Return what the trace of a session continues from after a restart, or None where it has none."""
        trace = self._traces.get(session.id)
        return None if trace is None else trace.snapshot()

    def collect(self) -> "SpansWrite | None":
        """Hand over finished spans."""
        if not self._finished:
            return None
        spans, self._finished = self._finished, []
        if self._options.has_dl_attributes:
            spans = [(session_id, with_dl_attributes(span)) for session_id, span in spans]
        return SpansWrite(self, tuple(spans))

    def _add(self, session: Session, spans: Iterable[Span]) -> None:
        self._finished += [(session.id, span) for span in spans]

    def _discard(self, session_id: str) -> None:
        """Drop what another bridge finishes."""
        self._traces.pop(session_id, None)
        self._finished = [entry for entry in self._finished if entry[0] != session_id]

    def _begin(self, session: Session) -> Trace:
        """Return the trace of an attempt: a new one, or one that began before a restart."""
        before = self._traces.pop(session.id, None) or self._restored(session)
        if before is not None and before.attempt == session.attempt:
            self._traces[session.id] = before
            return before
        if before is not None and (before.running or not before.ends):
            message = "another training process took over"
            self._finish(session, before, before.last_heard, Outcome.ERROR, message)
        trace = self._traces[session.id] = Trace.of(session)
        if session.stage is Stage.LIVE:
            self._add(session, [trace.root(session, _previous(session, before), self.pages)])
        return trace

    def _restored(self, session: Session) -> Trace | None:
        state = session.restored_state.pop(CHECKPOINT_KEY, None)
        return None if state is None else Trace.restored(state)

    def _registered(
        self, session: Session, trace: Trace, event: Registered, received: float
    ) -> None:
        """Do nothing: the trace has begun, as with any first event."""

    def _batch(self, session: Session, trace: Trace, batch: Batch, received: float) -> None:
        trace.add_batch(batch, received)
        if self._options.windows.are_set:
            windows = self._options.windows
            spans = trace.add_to_window(session, batch, received, windows, self.pages)
            self._add(session, spans)
        if trace.is_crowded:
            self._add(session, trace.overdue(session, self.pages))

    def _epoch(self, session: Session, trace: Trace, epoch: Epoch, received: float) -> None:
        self._add(session, trace.finish_epoch(session, epoch, received, self.pages))

    def _performance(
        self, _session: Session, trace: Trace, performance: Performance, _received: float
    ) -> None:
        rate = performance.frames_per_second_average
        if trace.running and rate is not None and math.isfinite(rate):
            trace.running[-1].frames_per_second = rate

    def _connected(self, session: Session, trace: Trace, event: Connected, received: float) -> None:
        if trace.is_disconnected:
            trace.is_disconnected = False
            self._record(session, trace, event, received)

    def _disconnected(
        self, session: Session, trace: Trace, event: Disconnected, received: float
    ) -> None:
        trace.is_disconnected = True
        self._record(session, trace, event, received)

    def _status(
        self, session: Session, trace: Trace, change: StatusChange, received: float
    ) -> None:
        if not session.is_repeated(change):
            self._record(session, trace, change, received)

    def _record(self, _session: Session, trace: Trace, event: Event, received: float) -> None:
        span_event = to_span_event(event, received)
        if span_event is not None:
            trace.add_event(span_event)

    def _ended(self, session: Session, trace: Trace, ended: Ended, received: float) -> None:
        if ended.stage is Stage.LOST:
            # A time from before the clock was set may be in the future.
            last_seen = min(max(session.updated_at, trace.last_heard), received)
            self._finish(session, trace, last_seen, Outcome.ERROR, "lost: silent for too long")
        elif session.status is Status.FAILED:
            self._finish(
                session, trace, received, Outcome.ERROR, session.status_message or "failed"
            )
        else:
            is_cut_short = session.status in (Status.INTERRUPTED, Status.TERMINATED)
            outcome = Outcome.UNSET if is_cut_short else Outcome.OK
            self._finish(session, trace, received, outcome, "")

    def _finish(
        self, session: Session, trace: Trace, at: float, outcome: Outcome, message: str
    ) -> None:
        self._add(session, trace.finish(session, at, outcome, message, self.pages))

    def _expire(self, session: Session, _trace: Trace, _event: Expired, _received: float) -> None:
        del self._traces[session.id]


_APPLY: dict[type, Callable[[Spans, Session, Trace, Any, float], None]] = {
    Registered: Spans._registered,
    Batch: Spans._batch,
    Epoch: Spans._epoch,
    Performance: Spans._performance,
    StatusChange: Spans._status,
    Occurrence: Spans._record,
    Connected: Spans._connected,
    Disconnected: Spans._disconnected,
    CommandSent: Spans._record,
    CommandAnswered: Spans._record,
    Ended: Spans._ended,
    Expired: Spans._expire,
}


@dataclass(slots=True)
class SpansWrite:
    """The spans of one commit."""

    sink: Spans
    spans: tuple[tuple[str, Span], ...]
    """With the session of each."""
    dropped: int = 0

    def write(self, transaction: Transaction) -> None:
        """Write them, but for those of sessions that another bridge has."""
        rows = [
            WaitingSpan(span.span_id, session_id, span.to_json()) for session_id, span in self.spans
        ]
        self.dropped = self.sink._outbox.add(transaction, rows)

    def on_committed(self) -> None:
        """Wake the delivery, and count the spans that the full outbox dropped."""
        if self.dropped:
            self.sink._telemetry.spans_dropped(self.dropped)
        self.sink.waiting.set()


def _previous(session: Session, before: Trace | None) -> SpanLink | None:
    """Return a link to the previous attempt, whose ids are known even if its trace is not."""
    if before is not None:
        return before.link()
    if session.attempt == 1:
        return None
    attempt = session.attempt - 1
    root_id = span_id_of(session.id, attempt, "session")
    return SpanLink(
        trace_id_of(session.id, attempt), root_id, {"training.link": "previous attempt"}
    )
