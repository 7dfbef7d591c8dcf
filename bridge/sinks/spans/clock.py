"""Notices when the wall clock has been set."""

from collections.abc import Callable

STEP_SECONDS = 1.0
"""A smaller step is the clock being slewed, or a busy process between two readings."""


class ClockSteps:
    """Compares the wall clock with the monotonic one, which nobody can set."""

    __slots__ = ("_ahead", "_monotonic")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Start with the first reading."""
        self._monotonic = monotonic
        self._ahead: float | None = None

    def step(self, wall: float) -> float:
        """Return by how many seconds the clock was set since the last call; each step is returned once."""
        ahead = wall - self._monotonic()
        step = 0.0 if self._ahead is None else ahead - self._ahead
        if abs(step) >= STEP_SECONDS or self._ahead is None:
            self._ahead = ahead
            return step
        return 0.0
