"""What was given and is not sent: counted by reason, logged once with a remedy, raised in strict mode."""

import logging
from collections import deque
from enum import StrEnum
from typing import NamedTuple

from bridge.client.encoding.isolation import let_through

log = logging.getLogger("trainbridge")

MAX_SENTENCES = 200
"""How many different ones are logged for one session."""


class Reason(StrEnum):
    """Why something was left out."""

    SAMPLED_OUT = "sampled out"
    """The bridge wants no more images: by its image rate, or its images per batch."""
    MEMORY = "no memory"
    """More was given than could be encoded and sent within the memory limit."""
    TOO_LARGE = "too large"
    """They do not fit into one message of the size that the bridge accepts."""
    UNREADABLE = "unreadable"
    """It is not of a kind that can be sent, or it could not be read."""
    CAPTURING = "graph capture"
    """A CUDA graph was being captured."""
    NOT_ARRIVED = "device"
    """A device was asked for a copy and did not deliver it."""
    CLOSED = "closed"
    """The session was closed before it could be encoded."""
    RAISED = "call raised"
    """The call that gave it raised: in strict mode for another argument, or because the program interrupted it."""
    ENDED = "after the end"
    """The call was made after the session had ended."""
    SECRET = "secret"  # noqa: S105 -- a reason
    """It looks like a password, a token or a key, which the bridge would show."""
    NOT_SUPPORTED = "not supported"
    """A drop-in for another tracker was given what a bridge has no place for."""
    COPY = "copy"
    """The call was made through a copy of the session, in a forked child for example."""


MISTAKES = frozenset({Reason.UNREADABLE, Reason.CAPTURING})
"""Reasons that are mistakes of the caller."""

EXPECTED = frozenset({Reason.SAMPLED_OUT, Reason.RAISED, Reason.ENDED, Reason.COPY, Reason.SECRET})
"""Reasons that need no action, that the program has noticed itself, or that are logged where they arise."""

REMEDIES = {
    ("images", Reason.MEMORY): (
        "more images wait to be encoded than half of buffer_bytes holds, so those of the lowest losses"
        " are left out; give a larger buffer_bytes, smaller images, or have the bridge take fewer"
        " (--images-keep sample)"
    ),
    ("images", Reason.TOO_LARGE): (
        "the images of one batch are larger than one message of the bridge; give smaller ones, or start"
        " the bridge with a larger --max-message-bytes"
    ),
    ("images", Reason.CLOSED): (
        "the session was closed before all images were encoded; a larger close_seconds gives it more time"
    ),
    ("batches", Reason.MEMORY): (
        "batches come faster than they can be encoded; give a larger buffer_bytes, or call log_batch"
        " less often"
    ),
    ("epochs", Reason.MEMORY): (
        "epochs come faster than they can be encoded; call log_epoch at the end of an epoch, and log_batch"
        " or log_scalars at a step"
    ),
    ("statuses", Reason.MEMORY): (
        "statuses come faster than they can be encoded; call log_status where the status changes"
    ),
    ("events", Reason.MEMORY): (
        "events come faster than they can be encoded; call event and alert where something has happened, and"
        " log_scalars at a step"
    ),
    ("scalars", Reason.MEMORY): (
        "scalars come faster than they can be encoded; give a larger buffer_bytes, or call log_scalars"
        " less often"
    ),
}


class _Sentence(NamedTuple):
    what: str
    reason: Reason
    error: str


class LeftOut:
    """The account of one thread: only that thread adds to it; any thread may read it."""

    def __init__(self, *, strict: bool = False) -> None:
        """Start with nothing left out; a strict account raises instead."""
        self.counts: dict[tuple[str, Reason], int] = {}
        """By what was left out and why."""
        self.mistakes = 0
        """How often something was given that could not be used."""
        self.images_given = 0
        self.is_strict = strict
        self._seen: set[tuple[str, Reason, str]] = set()
        self._unlogged: deque[_Sentence] = deque()

    def add(
        self, what: str, reason: Reason, count: int = 1, *, error: BaseException | None = None
    ) -> None:
        """Count what is left out; then raise ValueError in strict mode, unless that is expected."""
        if not count:
            return
        self.record(what, reason, count, error=error)
        if self.is_strict and reason not in EXPECTED:
            raise ValueError(
                f"{what}: {_detail(_Sentence(what, reason, error_text(error)))}"
            ) from error

    def record(
        self, what: str, reason: Reason, count: int, *, error: BaseException | None = None
    ) -> None:
        """Count what is left out, without raising."""
        key = (what, reason)
        self.counts[key] = self.counts.get(key, 0) + count
        self.mistakes += reason in MISTAKES
        if reason in EXPECTED or self.is_strict:
            return
        kind = (what, reason, type(error).__name__)
        if kind not in self._seen and len(self._seen) < MAX_SENTENCES:
            self._seen.add(kind)
            self._unlogged.append(_Sentence(what, reason, error_text(error)))

    def reset(self) -> None:
        """Start anew: these are the counts of another process."""
        self.counts.clear()
        self.mistakes = self.images_given = 0
        self._unlogged.clear()

    def of(self, what: str, *reasons: Reason) -> int:
        """Return how many of something were left out for these reasons."""
        return sum(self.counts.get((what, reason), 0) for reason in reasons)

    def announce(self) -> None:
        """Log what has not been logged yet; called by the SDK's own thread."""
        while self._unlogged:
            log.warning("%s", _text(self._unlogged.popleft()))


def error_text(error: BaseException | None, limit: int = 500) -> str:
    """Return type and text of an exception of whatever class; "" for None."""
    if error is None:
        return ""
    try:
        return f"{type(error).__name__}: {error}"[:limit]
    except BaseException as fault:  # noqa: BLE001 -- __str__ may raise
        let_through(fault)
        return type(error).__name__


def _text(sentence: _Sentence) -> str:
    return f"{sentence.what} left out ({sentence.reason}), training goes on: {_detail(sentence)}"


def _detail(sentence: _Sentence) -> str:
    """Return what was wrong and how to remedy it."""
    remedy = REMEDIES.get((sentence.what, sentence.reason), "")
    return "; ".join(part for part in (sentence.error, remedy) if part) or str(sentence.reason)
