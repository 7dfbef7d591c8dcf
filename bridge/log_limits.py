"""Bounds how many lines of one kind are logged, whatever clients do."""

import time
from collections import OrderedDict, deque

QUIET_SECONDS = 10.0
"""Occurrences of one kind are logged at most this often; they are always counted."""

WINDOW_SECONDS = 10.0
LINES_PER_KEY = 3
LINES_IN_ALL = 100
KEYS_KEPT = 2_000


class QuietPeriods:
    """After a line of one kind, no other of that kind for a while; there are few kinds."""

    def __init__(self) -> None:
        """Start with nothing logged."""
        self._last_logged: dict[str, float] = {}

    def claim(self, kind: str) -> bool:
        """Return whether something of this kind may be logged now; if so, it counts as logged."""
        now = time.monotonic()
        if now - self._last_logged.get(kind, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        self._last_logged[kind] = now
        return True


class LineBudget:
    """So many lines in a window of time: a few for each key, and a bounded number of them together."""

    def __init__(self) -> None:
        """Start with all of them."""
        self._lines: deque[float] = deque()
        self._by_key: OrderedDict[str, deque[float]] = OrderedDict()
        self.left_out = 0
        """Lines that were not logged since the last one that was."""

    def take(self, key: str, now: float) -> bool:
        """Return whether a line may be logged now; if so, it counts as logged."""
        own = self._by_key.pop(key, None) or deque()
        self._by_key[key] = own
        if len(self._by_key) > KEYS_KEPT:
            self._by_key.popitem(last=False)
        for lines in (own, self._lines):
            while lines and now - lines[0] >= WINDOW_SECONDS:
                lines.popleft()
        if len(own) >= LINES_PER_KEY or len(self._lines) >= LINES_IN_ALL:
            self.left_out += 1
            return False
        own.append(now)
        self._lines.append(now)
        return True
