"""Whether a run that seems to train makes no step, as its page says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.protocol import STALL_BATCHES, STEP_PHASES, stall_limit

NOTED_SECONDS = 15.0
"""A page speaks of it earlier than anything counts as stalled: whoever looks at it wants to know."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """How long a loop has made no step, though steps are what it is busy with."""

    seconds: float
    usual_seconds: float
    """What a step takes on the whole."""

    @property
    def counts_as_stalled(self) -> bool:
        """Whether the time is not training any more, and the alert TrainingStalled is due."""
        return self.seconds > stall_limit(self.usual_seconds)


def standstill(
    *, phase: str, phase_seconds: Mapping[str, float], stepped_at: float, batches: int, now: float
) -> Standstill | None:
    """Return the standstill of a connected loop, or None where steps come or something else keeps it busy."""
    if phase not in STEP_PHASES or not batches:
        return None
    seconds = now - stepped_at
    stepping = sum(phase_seconds.get(name, 0.0) for name in STEP_PHASES)
    usual = (
        max(0.0, stepping - seconds) / batches
    )  # a client may count the wait among them at first
    if seconds <= max(NOTED_SECONDS, STALL_BATCHES * usual):
        return None
    return Standstill(seconds, usual)
