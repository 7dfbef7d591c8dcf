"""Collects what the span of a running epoch will have."""

import math
from dataclasses import dataclass
from typing import Any

from bridge.model import Epoch
from bridge.sinks.spans.span import SpanEvent, attributes
from bridge.sinks.spans.stretch import Events, Stretch
from bridge.sinks.spans.windows import OpenWindow


@dataclass(slots=True)
class OpenEpoch(Stretch):
    """An epoch whose averages have not been reported yet."""

    frames_per_second: float | None = None
    span_id: str = ""
    """Of the span that it will have, where its windows have named it as their parent."""
    window: OpenWindow | None = None

    def add_event(self, event: SpanEvent) -> None:
        """Add an event to this epoch, and to its window."""
        self.events.add(event)
        if self.window is not None:
            self.window.events.add(event)

    def shift(self, seconds: float) -> None:
        """Move all times along with a clock that was set by so many seconds."""
        Stretch.shift(self, seconds)
        if self.window is not None:
            self.window.shift(seconds)

    def attributes(self, averages: Epoch | None) -> dict[str, Any]:
        """Return the attributes of the span: the averages that the client reported, else those of the batches."""
        return attributes(
            {
                "training.epoch": self.number,
                "training.epoch.complete": averages is not None,
                "training.loss": averages.loss if averages else self.mean_loss,
                "training.accuracy": averages.accuracy if averages else None,
                "training.validation.loss": averages.validation_loss if averages else None,
                "training.validation.accuracy": averages.validation_accuracy if averages else None,
                "training.learning_rate": averages.learning_rate if averages else None,
                "training.loss.highest": self.highest_loss,
                "training.step": self.step,
                "training.batches": self.batches,
                "training.samples": self.samples or None,
                "training.tokens": self.tokens or None,
                "training.frames_per_second": self.frames_per_second,
                "training.nonfinite": self.nonfinite + _nonfinite(averages),
                "training.events.dropped": self.events.dropped or None,
            }
        )

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "OpenEpoch":
        """Return the epoch of a snapshot."""
        window = OpenWindow.restored(state.get("window"))
        return cls(**{**state, "events": Events.restored(state["events"]), "window": window})


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
