"""Choose the batches whose images are worth keeping."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bridge.sinks.images.candidate import Offer


class Keep(StrEnum):
    """Which batches' images are kept."""

    SAMPLE = "sample"
    """The one with the highest loss in each window, and the first of each epoch."""
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided by now: offers to keep, oldest first, and offers that nobody will see."""

    kept: tuple[Offer, ...] = ()
    out: tuple[Offer, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time of one session, and the best offer that came in it."""

    ends: float
    best: Offer
    size_bytes: int


class Sampler:
    """Keeps one batch per session and window; it knows no clock but the one it is told."""

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

    def starts_epoch(self, session_id: str, epoch: int) -> bool:
        """Tell whether a batch of `epoch` is the first of it, and remember that it has been."""
        is_first = self._epochs.get(session_id) != epoch
        self._epochs[session_id] = epoch
        return is_first

    def offer(self, offer: Offer, now: float) -> Verdict:
        """Take an offer, and say what is decided by it."""
        if self._keep is Keep.ALL:
            return Verdict(kept=(offer,))
        if self._keep is Keep.NONE:
            return Verdict(out=(offer,))
        if offer.starts_epoch:
            return Verdict(kept=(*self.close(offer.session_id), offer))
        window = self._windows.get(offer.session_id)
        if window is None or now >= window.ends:
            kept = self.close(offer.session_id)
            self._open(offer, now + self._window_seconds)
            return Verdict(kept=kept)
        if badness(offer.batch.loss) <= badness(window.best.batch.loss):
            return Verdict(out=(offer,))
        self._replace(window, offer)
        return Verdict(out=(window.best,))

    def due(self, now: float) -> Iterable[Offer]:
        """Close the windows whose time is over, and return what they kept."""
        over = []
        for session_id, window in self._windows.items():
            if now < window.ends:
                break
            over.append(session_id)
        return [offer for session_id in over for offer in self.close(session_id)]

    def close(self, session_id: str) -> tuple[Offer, ...]:
        """Close a session's window, and return what it kept."""
        window = self._windows.pop(session_id, None)
        if window is None:
            return ()
        self.held_bytes -= window.size_bytes
        self._changed.add(session_id)
        return (window.best,)

    def close_all(self) -> Iterable[Offer]:
        """Close every window, and return what they kept."""
        return [offer for session_id in list(self._windows) for offer in self.close(session_id)]

    def take_changed(self) -> list[tuple[str, Offer | None]]:
        """Hand over what the windows that have changed since the last call hold now; None: it is closed."""
        changed, self._changed = self._changed, set()
        open_ones = self._windows
        return [
            (session_id, open_ones[session_id].best if session_id in open_ones else None)
            for session_id in changed
        ]

    def clear(self, session_id: str) -> None:
        """Have it written that the window of a session is closed."""
        self._changed.add(session_id)

    def forget(self, session_id: str) -> None:
        """Take the next batch of a session for the first of its epoch."""
        self._epochs.pop(session_id, None)

    def _open(self, offer: Offer, ends: float) -> None:
        size = offer.size_bytes
        self._windows[offer.session_id] = Window(ends, offer, size)
        self._changed.add(offer.session_id)
        self.held_bytes += size

    def _replace(self, window: Window, offer: Offer) -> None:
        size = offer.size_bytes
        # Assigning to a key that is there keeps its place in the order.
        self._windows[offer.session_id] = Window(window.ends, offer, size)
        self._changed.add(offer.session_id)
        self.held_bytes += size - window.size_bytes


def badness(loss: float | None) -> float:
    """Return what batches are compared by: not finite is the worst, not reported the least."""
    if loss is None:
        return -math.inf
    return loss if math.isfinite(loss) else math.inf
