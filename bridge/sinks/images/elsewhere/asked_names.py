"""Bounds how often a store is asked for names that nobody knows, whoever makes them up."""

from collections import OrderedDict

from bridge.errors import LimitError

PER_SECOND, AT_ONCE = 5.0, 50.0
"""Names that this bridge does not know, and that the store is asked for."""

NAMES_KEPT = 2_000


class AskedNames:
    """The names of which the store has nothing, and how many may still be asked for; times are monotonic."""

    def __init__(self) -> None:
        """Start with none."""
        self._absent: OrderedDict[tuple[str, bool], float] = OrderedDict()
        self._allowed, self._allowed_at = AT_ONCE, 0.0

    def is_absent(self, name: str, now: float, *, is_known: bool) -> bool:
        """Return whether the store had nothing of a name a moment ago."""
        return now < self._absent.get((name, is_known), now)

    def note_absent(self, name: str, until: float, *, is_known: bool) -> None:
        """Remember that the store has nothing of a name; `is_known`: nothing but what this bridge has indexed."""
        self._absent.pop((name, is_known), None)
        self._absent[name, is_known] = until
        while len(self._absent) > NAMES_KEPT:
            self._absent.popitem(last=False)

    def forget(self, name: str) -> None:
        """Let a name be asked for again; any thread may call."""
        for is_known in (False, True):
            self._absent.pop((name, is_known), None)

    def take(self, now: float) -> None:
        """Count a name that this bridge does not know; raises LimitError for too many."""
        gained = max(0.0, now - self._allowed_at) * PER_SECOND
        self._allowed, self._allowed_at = min(AT_ONCE, self._allowed + gained), now
        if self._allowed < 1:
            raise LimitError(
                "too many sessions that this bridge does not know were asked for: try again in a few seconds"
            )
        self._allowed -= 1
