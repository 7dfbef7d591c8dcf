"""Turn what happens to sessions into spans that wait in the outbox."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.model import (
    Batch,
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Epoch,
    Event,
    Forgotten,
    Performance,
    Phase,
    Registered,
    Status,
    StatusChange,
    span_id_of,
    trace_id_of,
)
from bridge.sessions import Session
from bridge.sinks.spans.events import described
from bridge.sinks.spans.links import Pages
from bridge.sinks.spans.span import Outcome, Span, SpanLink
from bridge.sinks.spans.trace import Trace
from bridge.storage.database import Transaction
from bridge.storage.outbox import OpenTraces, SpanOutbox
from bridge.telemetry import Telemetry

PROGRESS_SECONDS = 2.0
"""Open traces are written this often; after a kill the counts of a running epoch lack that much."""

PROGRESS_PER_COMMIT = 20
"""More would hold the event loop for too long; the others follow with the next commits."""


class Spans:
    """A durable sink of finished spans."""

    def __init__(
        self,
        outbox: SpanOutbox,
        traces: OpenTraces,
        telemetry: Telemetry,
        *,
        public_url: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write spans to `outbox`, and take up the open traces from before a restart."""
        self.pages = Pages(public_url)
        self.waiting = asyncio.Event()
        """Set whenever spans have been committed."""
        self._outbox = outbox
        self._open_traces = traces
        self._telemetry = telemetry
        self._clock = clock
        self._remembered = traces.load(time.time())
        self._traces: dict[str, Trace] = {}
        self._finished: list[Span] = []
        self._urgent: set[str] = set()
        """Sessions whose trace goes with the next commit, since spans were made from it."""
        self._touched: set[str] = set()
        self._round: list[str] = []
        self._round_at = -math.inf
        self._forgotten: set[str] = set()

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Take one event."""
        take = _TAKE.get(type(event))
        if take is None:
            return
        trace = self._traces.get(session.id)
        if trace is None or trace.attempt != session.attempt:
            trace = self._begin(session)
        self._touched.add(session.id)
        take(self, session, trace, event, received)

    def take(self) -> "SpansWork | None":
        """Hand over finished spans with the traces they come from, and by turns all other traces."""
        chosen = self._urgent | self._next_round()
        if not (chosen or self._finished or self._forgotten):
            return None
        work = SpansWork(
            self,
            spans=tuple(self._finished),
            traces=tuple(
                (name, time.time(), self._traces[name].to_json())
                for name in chosen
                if name in self._traces
            ),
            forgotten=tuple(self._forgotten),
        )
        self._touched -= chosen
        self._finished, self._urgent, self._forgotten = [], set(), set()
        return work

    def settle(self) -> None:
        """Let the next `take` hand over every trace as it is; for the last commit of a bridge."""
        self._urgent |= self._touched

    def _next_round(self) -> set[str]:
        now = self._clock()
        if not self._round and now - self._round_at >= PROGRESS_SECONDS:
            self._round, self._round_at = list(self._touched), now
        chosen, self._round = self._round[:PROGRESS_PER_COMMIT], self._round[PROGRESS_PER_COMMIT:]
        return set(chosen)

    def _begin(self, session: Session) -> Trace:
        """Return the trace of an attempt that is new, or that was begun before a restart."""
        before = self._traces.pop(session.id, None) or self._restored(session)
        if before is not None and before.attempt == session.attempt:
            self._traces[session.id] = before
            return before
        if before is not None and (before.running or not before.ends):
            message = "another training process took over"
            self._finish(session, before, before.last_heard, Outcome.ERROR, message)
        trace = self._traces[session.id] = Trace.of(session)
        if session.phase is Phase.LIVE:
            self._put(session, [trace.root(session, _previous(session, before), self.pages)])
        return trace

    def _restored(self, session: Session) -> Trace | None:
        state = self._remembered.pop(session.id, None)
        return None if state is None else Trace.from_json(state)

    def _registered(
        self, session: Session, trace: Trace, event: Registered, received: float
    ) -> None:
        """Do nothing more: whatever comes first has begun the trace."""

    def _batch(self, session: Session, trace: Trace, batch: Batch, received: float) -> None:
        trace.add_batch(batch, received)
        if trace.is_crowded:
            self._put(session, trace.overdue(session, self.pages))

    def _epoch(self, session: Session, trace: Trace, epoch: Epoch, received: float) -> None:
        self._put(session, trace.finish_epoch(session, epoch, received, self.pages))

    def _performance(
        self, _session: Session, trace: Trace, performance: Performance, _received: float
    ) -> None:
        speed = performance.frames_per_second_average
        if trace.running and math.isfinite(speed):
            trace.running[-1].frames_per_second = speed

    def _connected(self, session: Session, trace: Trace, event: Connected, received: float) -> None:
        if trace.is_disconnected:
            trace.is_disconnected = False
            self._told(session, trace, event, received)

    def _disconnected(
        self, session: Session, trace: Trace, event: Disconnected, received: float
    ) -> None:
        trace.is_disconnected = True
        self._told(session, trace, event, received)

    def _told(self, _session: Session, trace: Trace, event: Event, received: float) -> None:
        told = described(event, received)
        if told is not None:
            trace.add_event(told)

    def _ended(self, session: Session, trace: Trace, ended: Ended, received: float) -> None:
        if ended.phase is Phase.LOST:
            self._finish(
                session, trace, session.updated_at, Outcome.ERROR, "lost: silent for too long"
            )
        elif session.status is Status.FAILED:
            self._finish(
                session, trace, received, Outcome.ERROR, session.status_message or "failed"
            )
        else:
            self._finish(session, trace, received, Outcome.OK, "")

    def _finish(
        self, session: Session, trace: Trace, at: float, outcome: Outcome, message: str
    ) -> None:
        self._put(session, trace.finish(session, at, outcome, message, self.pages))

    def _put(self, session: Session, spans: list[Span]) -> None:
        self._finished += spans
        self._urgent.add(session.id)

    def _forget(self, session: Session, _trace: Trace, _event: Forgotten, _received: float) -> None:
        del self._traces[session.id]
        self._touched.discard(session.id)
        self._forgotten.add(session.id)


_TAKE: dict[type, Callable[[Spans, Session, Trace, Any, float], None]] = {
    Registered: Spans._registered,
    Batch: Spans._batch,
    Epoch: Spans._epoch,
    Performance: Spans._performance,
    StatusChange: Spans._told,
    Connected: Spans._connected,
    Disconnected: Spans._disconnected,
    CommandSent: Spans._told,
    CommandAnswered: Spans._told,
    Ended: Spans._ended,
    Forgotten: Spans._forget,
}


@dataclass(slots=True)
class SpansWork:
    """The spans and open traces of one commit."""

    sink: Spans
    spans: tuple[Span, ...]
    traces: tuple[tuple[str, float, str], ...]
    forgotten: tuple[str, ...]
    dropped: int = 0

    def write(self, transaction: Transaction) -> None:
        """Write them."""
        rows = [(span.span_id, span.to_json()) for span in self.spans]
        self.dropped = self.sink._outbox.add(transaction, rows) if rows else 0
        self.sink._open_traces.forget(transaction, self.forgotten)
        self.sink._open_traces.keep(transaction, self.traces)

    def done(self) -> None:
        """Ring for the delivery, and count what had to go."""
        if self.dropped:
            self.sink._telemetry.spans_dropped(self.dropped)
        if self.spans:
            self.sink.waiting.set()


def _previous(session: Session, before: Trace | None) -> SpanLink | None:
    """Return a link to the attempt before, whose ids can be told without having seen it."""
    if before is not None:
        return before.link()
    if session.attempt == 1:
        return None
    attempt = session.attempt - 1
    root_id = span_id_of(session.id, attempt, "session")
    return SpanLink(
        trace_id_of(session.id, attempt), root_id, {"training.link": "previous attempt"}
    )
