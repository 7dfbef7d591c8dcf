"""Choose the batches whose images are worth keeping."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bridge.sinks.images.candidate import ImageCandidate


class Keep(StrEnum):
    """Which batches' images are kept."""

    SAMPLE = "sample"
    """The one with the highest loss in each window, and the first of each epoch."""
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SamplingDecision:
    """The candidates that are decided by now: those to keep, oldest first, and those nobody will see."""

    kept: tuple[ImageCandidate, ...] = ()
    discarded: tuple[ImageCandidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time of one session, and the candidate with the highest loss in it."""

    ends: float
    worst: ImageCandidate
    size_bytes: int


class Sampler:
    """Keeps one batch per session and window; callers pass the time."""

    def __init__(self, keep: Keep = Keep.SAMPLE, *, batches_per_second: float = 2.0) -> None:
        """Make windows of 1 / `batches_per_second`, each beginning with a batch."""
        self.held_bytes = 0
        """Of JPEGs whose window is still open."""
        self._keep = keep
        self._window_seconds = 1 / batches_per_second
        # All windows are equally long, so the order they opened in is the order they close in.
        self._windows: dict[str, Window] = {}
        self._epochs: dict[str, int] = {}
        self._changed: set[str] = set()

    def enter_epoch(self, session_id: str, epoch: int) -> bool:
        """Record a batch of `epoch`, and return whether it is the first of it."""
        is_first = self._epochs.get(session_id) != epoch
        self._epochs[session_id] = epoch
        return is_first

    def decide(self, candidate: ImageCandidate, now: float) -> SamplingDecision:
        """Take a candidate, and return what is decided by it."""
        if self._keep is Keep.ALL:
            return SamplingDecision(kept=(candidate,))
        if self._keep is Keep.NONE:
            return SamplingDecision(discarded=(candidate,))
        if candidate.starts_epoch:
            return SamplingDecision(kept=(*self.close(candidate.session_id), candidate))
        window = self._windows.get(candidate.session_id)
        if window is None or now >= window.ends:
            kept = self.close(candidate.session_id)
            self._open(candidate, now + self._window_seconds)
            return SamplingDecision(kept=kept)
        if badness(candidate.batch.loss) <= badness(window.worst.batch.loss):
            return SamplingDecision(discarded=(candidate,))
        self._replace(window, candidate)
        return SamplingDecision(discarded=(window.worst,))

    def due(self, now: float) -> Iterable[ImageCandidate]:
        """Close the windows whose time is over, and return their candidates."""
        due = []
        for session_id, window in self._windows.items():
            if now < window.ends:
                break
            due.append(session_id)
        return [candidate for session_id in due for candidate in self.close(session_id)]

    def close(self, session_id: str) -> tuple[ImageCandidate, ...]:
        """Close a session's window, and return its candidate."""
        window = self._windows.pop(session_id, None)
        if window is None:
            return ()
        self.held_bytes -= window.size_bytes
        self._changed.add(session_id)
        return (window.worst,)

    def close_all(self) -> Iterable[ImageCandidate]:
        """Close every window, and return their candidates."""
        return [
            candidate for session_id in list(self._windows) for candidate in self.close(session_id)
        ]

    def collect_windows(self) -> list[tuple[str, ImageCandidate | None]]:
        """Hand over the windows changed since the last call, each with its candidate; None: it is closed."""
        changed, self._changed = self._changed, set()
        windows = self._windows
        return [
            (session_id, windows[session_id].worst if session_id in windows else None)
            for session_id in changed
        ]

    def mark_closed(self, session_id: str) -> None:
        """Have the next commit write that the window of a session is closed."""
        self._changed.add(session_id)

    def leave(self, session_id: str) -> tuple[ImageCandidate, ...]:
        """Drop a session that another bridge has, and return the candidate of its window, which stays on disk."""
        dropped = self.close(session_id)
        self._changed.discard(session_id)
        self.reset(session_id)
        return dropped

    def reset(self, session_id: str) -> None:
        """Take the next batch of a session for the first of its epoch."""
        self._epochs.pop(session_id, None)

    def _open(self, candidate: ImageCandidate, ends: float) -> None:
        size = candidate.size_bytes
        self._windows[candidate.session_id] = Window(ends, candidate, size)
        self._changed.add(candidate.session_id)
        self.held_bytes += size

    def _replace(self, window: Window, candidate: ImageCandidate) -> None:
        size = candidate.size_bytes
        # Assigning to a key that is there keeps its place in the order.
        self._windows[candidate.session_id] = Window(window.ends, candidate, size)
        self._changed.add(candidate.session_id)
        self.held_bytes += size - window.size_bytes


def badness(loss: float | None) -> float:
    """Return what batches are compared by: a loss that is not finite is worst, one not reported least."""
    if loss is None:
        return -math.inf
    return loss if math.isfinite(loss) else math.inf
