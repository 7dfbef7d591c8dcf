"""How a session's steps and phases have gone in the last minutes, from what it reports cumulatively."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

WINDOW_SECONDS = 300.0
"""How far back it looks: long enough to be steady, and short enough to show what is slow now."""

SPACING_SECONDS = 30.0
"""How far apart the readings are that are kept."""


class Progress(NamedTuple):
    """How far a session is, or has come within some time."""

    at: float
    """Seconds since 1970; of a difference: how many seconds."""
    steps: int
    phase_seconds: Mapping[str, float]


class RecentProgress:
    """The readings of the last minutes, a few of them; begins anew with an attempt and after a restart."""

    __slots__ = ("_kept", "_newest")

    def __init__(self) -> None:
        """Know nothing yet."""
        self._kept: deque[Progress] = deque()
        self._newest: Progress | None = None

    def add(self, progress: Progress) -> None:
        """Take a reading; one that is lower than the last, as of another process, begins anew."""
        newest = self._newest
        if newest is not None and (progress.steps < newest.steps or progress.at < newest.at):
            self._kept.clear()
        self._newest = progress
        kept = self._kept
        if not kept or progress.at - kept[-1].at >= SPACING_SECONDS:
            kept.append(progress)
        while len(kept) > 1 and progress.at - kept[1].at >= WINDOW_SECONDS:
            kept.popleft()

    @property
    def change(self) -> Progress | None:
        """What has come since the oldest reading kept; None before there are two."""
        newest = self._newest
        if newest is None or newest is self._kept[0]:
            return None
        first = self._kept[0]
        passed = {
            phase: max(0.0, seconds - first.phase_seconds.get(phase, 0.0))
            for phase, seconds in newest.phase_seconds.items()
        }
        return Progress(newest.at - first.at, newest.steps - first.steps, passed)
