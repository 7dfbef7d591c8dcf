"""Cuts a running epoch into windows, so that a trace shows it while it runs."""

from dataclasses import dataclass
from typing import Any

from bridge.scalar_history import GRADIENT_NORM, LEARNING_RATE
from bridge.session import Session
from bridge.sinks.spans.span import attributes
from bridge.sinks.spans.stretch import Events, Stretch


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """When a window ends, whichever comes first; 0: never for this reason."""

    steps: int = 0
    seconds: float = 0.0

    @property
    def are_set(self) -> bool:
        """Whether there are windows."""
        return bool(self.steps or self.seconds)

    def is_reached(self, window: Stretch) -> bool:
        """Return whether a window is over with its last batch."""
        is_long = 0 < self.seconds <= window.last - window.started
        return is_long or 0 < self.steps <= window.batches


NO_WINDOWS = WindowLimits()


@dataclass(slots=True)
class OpenWindow(Stretch):
    """The part of a running epoch since its last window ended."""

    def attributes(self, session: Session, number: int) -> dict[str, Any]:
        """Return the attributes of the span of the window, which is the so many-th of its attempt."""
        seconds = self.last - self.started
        newest = session.scalars.newest_of
        return attributes(
            {
                "training.epoch": self.number,
                "training.window": number,
                "training.step.first": self.first_step,
                "training.step": self.step,
                "training.batches": self.batches,
                "training.samples": self.samples or None,
                "training.samples_per_second": _rate(self.samples, seconds),
                "training.tokens": self.tokens or None,
                "training.tokens_per_second": _rate(self.tokens, seconds),
                "training.loss": self.mean_loss,
                "training.loss.highest": self.highest_loss,
                "training.loss.last": self.last_loss,
                "training.learning_rate": newest(LEARNING_RATE),
                "training.gradient_norm": newest(GRADIENT_NORM),
                "training.nonfinite": self.nonfinite,
                "training.events.dropped": self.events.dropped or None,
            }
        )

    @classmethod
    def restored(cls, state: dict[str, Any] | None) -> "OpenWindow | None":
        """Return the window of a snapshot, or None for None."""
        if state is None:
            return None
        return cls(**{**state, "events": Events.restored(state["events"])})


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if count and seconds > 0 else None
