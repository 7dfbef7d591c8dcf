"""Collects what the span of consecutive batches will have."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.model import Batch
from bridge.sinks.spans.links import Pages
from bridge.sinks.spans.span import SpanEvent, attributes

EVENTS_LIMIT = 16
"""Events per span; the last place is reserved for the batch with the highest loss."""


@dataclass(slots=True)
class Events:
    """The first `limit` events of a span."""

    limit: int
    kept: list[SpanEvent] = field(default_factory=list)
    dropped: int = 0

    def add(self, event: SpanEvent) -> None:
        """Add an event, or count it as dropped if the limit is reached."""
        if len(self.kept) < self.limit:
            self.kept.append(event)
        else:
            self.dropped += 1

    def shift(self, seconds: float) -> None:
        """Move all times along with a clock that was set by so many seconds."""
        self.kept = [replace(event, at=event.at + seconds) for event in self.kept]

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Events":
        """Return the events of a snapshot."""
        kept = [SpanEvent(**event) for event in state["kept"]]
        return cls(state["limit"], kept, state["dropped"])


@dataclass(slots=True)
class Stretch:
    """Batches of one epoch, one after the other."""

    number: int
    """Of the epoch."""
    started: float
    last: float
    """When the last batch arrived."""
    batches: int = 0
    samples: int = 0
    finite: int = 0
    loss_total: float = 0.0
    nonfinite: int = 0
    highest_loss: float | None = None
    highest_batch: int = 0
    highest_at: float = 0.0
    events: Events = field(default_factory=lambda: Events(EVENTS_LIMIT - 1))
    last_loss: float | None = None
    """The last finite one."""
    tokens: int = 0
    first_step: int | None = None
    step: int | None = None
    """The training step of its last batch; None: not reported."""

    def add(self, batch: Batch, received: float) -> None:
        """Add a batch of this epoch."""
        self.last = received
        self.batches += 1
        self.samples += batch.sample_count or max(len(batch.images), len(batch.predictions))
        self.tokens += batch.tokens
        if batch.step is not None:
            self.step = batch.step
            self.first_step = batch.step if self.first_step is None else self.first_step
        loss = batch.loss
        if loss is None:
            return
        if not math.isfinite(loss):
            self._add_nonfinite(batch, received)
            return
        self.finite += 1
        self.loss_total += loss
        self.last_loss = loss
        if self.highest_loss is None or loss > self.highest_loss:
            self.highest_loss, self.highest_batch, self.highest_at = loss, batch.index, received

    def shift(self, seconds: float) -> None:
        """Move all times along with a clock that was set by so many seconds."""
        self.started += seconds
        self.last += seconds
        self.highest_at += seconds
        self.events.shift(seconds)

    @property
    def mean_loss(self) -> float | None:
        """The mean of the finite losses; None if there were none."""
        return self.loss_total / self.finite if self.finite else None

    def all_events(self, session_id: str, attempt: int, pages: Pages) -> tuple[SpanEvent, ...]:
        """Return the events in order of time, including the batch with the highest loss."""
        events = list(self.events.kept)
        if self.highest_loss is not None:
            link = pages.images(session_id, attempt, self.number, self.highest_batch)
            where = {
                "training.batch": self.highest_batch,
                "training.loss": self.highest_loss,
                "training.images.url": link,
            }
            events.append(SpanEvent("highest loss", self.highest_at, attributes(where)))
        return tuple(sorted(events, key=lambda event: event.at))

    def _add_nonfinite(self, batch: Batch, received: float) -> None:
        self.nonfinite += 1
        if self.nonfinite == 1:
            where = {"training.batch": batch.index, "training.loss": str(batch.loss)}
            self.events.add(SpanEvent("non-finite loss", received, attributes(where)))
