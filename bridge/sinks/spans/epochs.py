"""One epoch while it runs: what its span will say."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.model import Batch, Epoch
from bridge.sinks.spans.links import Pages
from bridge.sinks.spans.span import SpanEvent, attributes

EVENTS_LIMIT = 16
"""Events of one span; the place of the last one is kept for the batch with the highest loss."""


@dataclass(slots=True)
class Events:
    """What happened, the first `limit` things of it."""

    limit: int
    kept: list[SpanEvent] = field(default_factory=list)
    dropped: int = 0

    def add(self, event: SpanEvent) -> None:
        """Take one, or count it where there is no more room."""
        if len(self.kept) < self.limit:
            self.kept.append(event)
        else:
            self.dropped += 1

    def shift(self, seconds: float) -> None:
        """Move all times along with a clock that was set by so many seconds."""
        self.kept = [replace(event, at=event.at + seconds) for event in self.kept]

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Events":
        """Return the events as they were written."""
        kept = [SpanEvent(**event) for event in state["kept"]]
        return cls(state["limit"], kept, state["dropped"])


@dataclass(slots=True)
class OpenEpoch:
    """An epoch whose averages have not been told yet."""

    number: int
    started: float
    last: float
    """When the last batch came."""
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
        """Take one batch of this epoch."""
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

    def attributes(self, told: Epoch | None) -> dict[str, Any]:
        """Return what is known of the epoch: what the client told, else what its batches tell."""
        mean = self.loss_total / self.finite if self.finite else None
        return attributes(
            {
                "training.epoch": self.number,
                "training.epoch.complete": told is not None,
                "training.loss": told.loss if told else mean,
                "training.accuracy": told.accuracy if told else None,
                "training.validation.loss": told.validation_loss if told else None,
                "training.validation.accuracy": told.validation_accuracy if told else None,
                "training.learning_rate": told.learning_rate if told else None,
                "training.loss.highest": self.highest_loss,
                "training.batches": self.batches,
                "training.samples": self.samples or None,
                "training.frames_per_second": self.frames_per_second,
                "training.nonfinite": self.nonfinite + _nonfinite(told),
                "training.events.dropped": self.events.dropped or None,
            }
        )

    def all_events(self, session_id: str, pages: Pages) -> tuple[SpanEvent, ...]:
        """Return what happened, in order of time, the batch with the highest loss among it."""
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
        """Return the epoch as it was written."""
        return cls(**{**state, "events": Events.restored(state["events"])})

    def _add_nonfinite(self, batch: Batch, received: float) -> None:
        self.nonfinite += 1
        if self.nonfinite == 1:
            where = {"training.batch": batch.index, "training.loss": str(batch.loss)}
            self.events.add(SpanEvent("non-finite loss", received, attributes(where)))


def _nonfinite(told: Epoch | None) -> int:
    if told is None:
        return 0
    numbers = (told.loss, told.accuracy, told.validation_loss, told.validation_accuracy)
    return sum(number is not None and not math.isfinite(number) for number in numbers)
