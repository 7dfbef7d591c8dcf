"""When somebody was not served, and why: stretches of time, in seconds since 1970."""

from collections.abc import Iterable, Sequence

WORTH_NOTING_SECONDS = 0.5

Interruption = tuple[float, float, str]
"""From, to, and the last reason that was given."""


class Interruptions:
    """Those of one client or page; one goes on until it is ended."""

    def __init__(self) -> None:
        """Start served."""
        self._found: list[Interruption] = []
        self._since: float | None = None
        self._reason = ""
        self._last = 0.0

    def begin(self, now: float, reason: str) -> None:
        """Note that nobody was served now, for this reason; it began when that was noted first."""
        self._since = now if self._since is None else self._since
        self._reason, self._last = reason, now

    def end(self, now: float) -> None:
        """Note that somebody was served now."""
        if self._since is not None and now - self._since >= WORTH_NOTING_SECONDS:
            self._found.append((self._since, now, self._reason))
        self._since = None

    def closed(self) -> list[Interruption]:
        """Return all of them, with the one that lasts until it was noted last."""
        if self._since is not None:
            self.end(self._last)
        return list(self._found)


def longest(
    interruptions: Iterable[Sequence], excused: Iterable[Sequence[float]] = ()
) -> tuple[float, str]:
    """Return the seconds of the longest one, without the time that is excused, and its reason."""
    lengths = [
        (to - since - sum(_shared(since, to, *span) for span in excused), reason)
        for since, to, reason in interruptions
    ]
    return max(lengths, default=(0.0, ""))


def _shared(since: float, to: float, other_since: float, other_to: float) -> float:
    return max(0.0, min(to, other_to) - max(since, other_since))
