"""Spare a broken store, and notice when it works again."""

import time
from collections.abc import Callable

from bridge.backoff import backoff_seconds

LONGEST_BACKOFF_SECONDS = 60.0

LEAST_SECONDS = 1.0
"""A broken store gets at most one request in this time."""


class CircuitBreaker:
    """After a failure one request at a time, further and further apart, until one succeeds."""

    def __init__(
        self,
        *,
        longest_seconds: float = LONGEST_BACKOFF_SECONDS,
        least_seconds: float = LEAST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Let everything through, until something fails."""
        self._longest_seconds = longest_seconds
        self._least_seconds = least_seconds
        self._clock = clock
        self._failures = 0
        self._next_at = 0.0
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Return whether the last request failed."""
        return self._failures > 0

    @property
    def wait_seconds(self) -> float | None:
        """How long to wait before the next request; None: until the one under way is answered."""
        if not self.is_open:
            return 0.0
        if self._is_probing:
            return None
        return max(0.0, self._next_at - self._clock())

    def shorten_backoff(self) -> None:
        """Let requests follow as closely as a broken store is to be asked: there is little time left."""
        self._longest_seconds = self._least_seconds
        self._next_at = min(self._next_at, self._clock() + self._least_seconds)

    def before_request(self) -> None:
        """Record that a request starts."""
        self._is_probing = self.is_open

    def record_success(self) -> None:
        """Close: requests are not held back any more."""
        self._failures = 0
        self._is_probing = False

    def record_failure(self) -> None:
        """Open, or stay open: the next request waits longer."""
        backoff = backoff_seconds(self._failures, longest_seconds=self._longest_seconds)
        self._next_at = self._clock() + max(self._least_seconds, backoff)
        self._failures += 1
        self._is_probing = False
