"""Collects what the span of a running epoch will have."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.model import Batch, Epoch
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
class OpenEpoch:
    """An epoch whose averages have not been reported yet."""

    number: int
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
    frames_per_second: float | None = None
    events: Events = field(default_factory=lambda: Events(EVENTS_LIMIT - 1))

    def add(self, batch: Batch, received: float) -> None:
        """Add a batch of this epoch."""
        self.last = received
        self.batches += 1
        self.samples += batch.sample_count or max(len(batch.images), len(batch.predictions))
        loss = batch.loss
        if loss is None:
            return
        if not math.isfinite(loss):
            self._add_nonfinite(batch, received)
            return
        self.finite += 1
        self.loss_total += loss
        if self.highest_loss is None or loss > self.highest_loss:
            self.highest_loss, self.highest_batch, self.highest_at = loss, batch.index, received

    def shift(self, seconds: float) -> None:
        """Move all times along with a clock that was set by so many seconds."""
        self.started += seconds
        self.last += seconds
        self.highest_at += seconds
        self.events.shift(seconds)

    def attributes(self, averages: Epoch | None) -> dict[str, Any]:
        """Return the attributes of the span: the averages that the client reported, else those of the batches."""
        mean = self.loss_total / self.finite if self.finite else None
        return attributes(
            {
                "training.epoch": self.number,
                "training.epoch.complete": averages is not None,
                "training.loss": averages.loss if averages else mean,
                "training.accuracy": averages.accuracy if averages else None,
                "training.validation.loss": averages.validation_loss if averages else None,
                "training.validation.accuracy": averages.validation_accuracy if averages else None,
                "training.learning_rate": averages.learning_rate if averages else None,
                "training.loss.highest": self.highest_loss,
                "training.batches": self.batches,
                "training.samples": self.samples or None,
                "training.frames_per_second": self.frames_per_second,
                "training.nonfinite": self.nonfinite + _nonfinite(averages),
                "training.events.dropped": self.events.dropped or None,
            }
        )

    def all_events(self, session_id: str, pages: Pages) -> tuple[SpanEvent, ...]:
        """Return the events in order of time, including the batch with the highest loss."""
        events = list(self.events.kept)
        if self.highest_loss is not None:
            where = {
                "training.batch": self.highest_batch,
                "training.loss": self.highest_loss,
                "training.images.url": pages.images(session_id, self.number, self.highest_batch),
            }
            events.append(SpanEvent("highest loss", self.highest_at, attributes(where)))
        return tuple(sorted(events, key=lambda event: event.at))

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "OpenEpoch":
        """Return the epoch of a snapshot."""
        return cls(**{**state, "events": Events.restored(state["events"])})

    def _add_nonfinite(self, batch: Batch, received: float) -> None:
        self.nonfinite += 1
        if self.nonfinite == 1:
            where = {"training.batch": batch.index, "training.loss": str(batch.loss)}
            self.events.add(SpanEvent("non-finite loss", received, attributes(where)))


def _nonfinite(averages: Epoch | None) -> int:
    if averages is None:
        return 0
    numbers = (
        averages.loss,
        averages.accuracy,
        averages.validation_loss,
        averages.validation_accuracy,
    )
    return sum(number is not None and not math.isfinite(number) for number in numbers)
