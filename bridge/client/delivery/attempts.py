"""What the attempts to connect have come to: how often in a row they failed, and what was logged of it."""

import time
from collections.abc import Callable

LONG_SECONDS = 30.0
"""A connection that has lasted so long has worked, whatever was acknowledged: the loop may have been silent."""

MAX_REASONS = 5
"""How many different reasons are logged until a connection works again."""


class Attempts:
    """Counts attempts that came to nothing.

    A stream that opens is not yet one that works: behind a proxy that sends registrations to one bridge
    and streams to another, each attempt would succeed and break at once, without a pause between.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no failure."""
        self.failures = 0
        """Attempts in a row, up to now, that have delivered nothing."""
        self._clock = clock
        self._began_at = clock()
        self._reasons: set[str] = set()

    def begin(self) -> None:
        """Begin an attempt."""
        self._began_at = self._clock()

    def end(self, *, has_worked: bool) -> None:
        """End it; it has worked where something was acknowledged, or where it has lasted."""
        has_lasted = self._clock() - self._began_at >= LONG_SECONDS
        self.failures = 0 if has_worked or has_lasted else self.failures + 1

    def is_new(self, reason: str) -> bool:
        """Return whether a reason has to be logged: once until a connection works again, and not too many."""
        if reason in self._reasons or len(self._reasons) >= MAX_REASONS:
            return False
        self._reasons.add(reason)
        return True

    def forget_reasons(self) -> None:
        """Let all reasons be logged again."""
        self._reasons.clear()
