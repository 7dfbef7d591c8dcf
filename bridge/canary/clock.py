"""A clock that stands still while the canary does."""

import time

LONGEST_GAP_SECONDS = 0.5
"""A canary that runs calls `tick` at least twice as often."""


class RunningClock:
    """Monotonic seconds, without those in which this process was stopped, suspended or starved.

    What the canary could neither send nor see in that time is nobody's fault. One thread ticks, others read.
    """

    def __init__(self) -> None:
        """Start now."""
        self._last_tick = time.monotonic(), 0.0
        """When it was, and how long the process has stood still before it."""

    def tick(self) -> None:
        """Note that the process runs."""
        now, (ticked_at, stalled) = time.monotonic(), self._last_tick
        self._last_tick = now, stalled + max(0.0, now - ticked_at - LONGEST_GAP_SECONDS)

    def now(self) -> float:
        """Return the time; it stops when there has been no `tick` for too long, and goes on with the next one."""
        ticked_at, stalled = self._last_tick
        return min(time.monotonic(), ticked_at + LONGEST_GAP_SECONDS) - stalled
