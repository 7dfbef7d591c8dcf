"""Bounds how many sessions are new in a minute: of one identity, and of all together."""

from collections import deque
from collections.abc import Callable

from bridge.errors import LimitError

WINDOW_SECONDS = 60.0


class RegistrationRate:
    """Counts the new sessions of the last minute."""

    def __init__(self, in_all: int, each: int, monotonic: Callable[[], float]) -> None:
        """Start with none."""
        self._in_all = in_all
        self._each = each
        self._monotonic = monotonic
        self._recent: deque[float] = deque()
        self._by_name: dict[str, deque[float]] = {}
        """Of identities that have registered within a minute; who has no name has no limit of its own."""

    def claim(self, name: str) -> None:
        """Count a new session of an identity; raises LimitError where there are too many."""
        self._forget(self._monotonic() - WINDOW_SECONDS)
        if len(self._recent) >= self._in_all:
            raise LimitError(
                f"more than {self._in_all} new sessions a minute (--max-new-sessions-per-minute)"
            )
        if name and len(self._by_name.get(name, ())) >= self._each:
            raise LimitError(
                f"more than {self._each} new sessions a minute by {name} (--max-new-sessions-per-token)"
            )
        now = self._monotonic()
        self._recent.append(now)
        if name:
            self._by_name.setdefault(name, deque()).append(now)

    def _forget(self, until: float) -> None:
        for times in (self._recent, *self._by_name.values()):
            while times and times[0] <= until:
                times.popleft()
        self._by_name = {name: times for name, times in self._by_name.items() if times}
