"""All attempts of a session: how each went, and what they make up together."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from threading import Lock

from aiohttp import web

from bridge.model import Status
from bridge.phases import began_after
from bridge.web.attempts.former import former_view
from bridge.web.attempts.logged import Logged, logged_of, showing, with_attempt
from bridge.web.attempts.stitching import (
    Stretch,
    counted_bins,
    counted_epochs,
    stitched,
    stretch_of,
    thinned,
)
from bridge.web.batch_numbers import BatchKey
from bridge.web.dependencies import Archive, ArchiveEntry
from bridge.web.goodput import own_goodput_ratio
from bridge.web.session_state import MOVED
from bridge.web.session_view import SessionView

MAX_ATTEMPTS = 100
"""Older ones are left out of lists and curves; each still has a page of its own."""

SESSIONS_KEPT = 32
"""Sessions whose former attempts stay in memory, since they do not change any more."""


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """How one attempt went."""

    number: int
    state: str
    message: str
    registered_at: float
    until: float
    """When it ended, or was last heard of; the present for one that goes on."""
    is_live: bool
    first: BatchKey | None
    """Its first epoch and batch."""
    last: BatchKey | None
    """The highest it came to."""
    batches: int
    phase_seconds: Mapping[str, float]
    """Spent in each phase."""
    started_ms: int = 0
    """When its process began it, by its own clock; 0: not reported."""
    tokens: int = 0
    """Trained on; 0: not reported."""
    lost_seconds: float | None = None
    """Between the attempt before it and this one; None: nothing was lost, or it is the first."""

    @property
    def elapsed_seconds(self) -> float:
        """How long it took."""
        return max(0.0, self.until - self.registered_at)

    @property
    def goodput_ratio(self) -> float | None:
        """How much of it was training; None where it has reported no step, by which that would be known."""
        return own_goodput_ratio(self.phase_seconds) if self.batches else None


@dataclass(frozen=True, slots=True)
class AllAttempts:
    """The attempts of a session, oldest first, and what counts of each."""

    listed: tuple[AttemptSummary, ...]
    stretches: tuple[Stretch, ...]
    logged: Logged
    """By name, by all of them."""
    left_out: int = 0
    """Earlier attempts that are in neither."""

    @property
    def has_several(self) -> bool:
        """Whether there has been more than one attempt."""
        return len(self.listed) + self.left_out > 1

    @property
    def lost_seconds(self) -> float:
        """Between all attempts."""
        return sum(attempt.lost_seconds or 0.0 for attempt in self.listed)

    def goodput_ratio_of(self, number: int) -> float | None:
        """Return the goodput of one attempt by itself; None also for one that is left out."""
        return next((one.goodput_ratio for one in self.listed if one.number == number), None)

    @property
    def seconds(self) -> float:
        """Since the first attempt began."""
        return max(0.0, self.listed[-1].until - self.listed[0].registered_at)


@dataclass(frozen=True, slots=True)
class _Former:
    entries: Sequence[ArchiveEntry]
    attempts: tuple[AttemptSummary, ...]
    stretches: tuple[Stretch, ...]
    logged: Logged


@dataclass(slots=True)
class AttemptCatalog:
    """Reads the former attempts of a session once, however often they are asked for; any thread may ask."""

    archive: Archive
    _former: OrderedDict[str, _Former] = field(default_factory=OrderedDict)
    """By session; the one that was asked for longest ago first."""
    _reading: Lock = field(default_factory=Lock)

    def all_of(self, newest: SessionView) -> AllAttempts:
        """Return all attempts up to the newest."""
        if newest.attempt == 1:
            return AllAttempts((_summary(newest),), (stretch_of(newest),), logged_of(newest))
        entries = [
            entry for entry in self.archive.attempts(newest.id) if entry.attempt < newest.attempt
        ]
        former = self._former_of(newest.id, entries[-MAX_ATTEMPTS + 1 :], newest.now)
        attempts = (*former.attempts, _summary(newest))
        stretches = stitched(former.stretches, stretch_of(newest))
        logged = with_attempt(former.logged, newest)
        left_out = newest.attempt - len(attempts)
        return AllAttempts(_with_losses(attempts), thinned(stretches), logged, left_out)

    def _former_of(self, session_id: str, entries: Sequence[ArchiveEntry], now: float) -> _Former:
        with self._reading:
            known = self._former.pop(session_id, None)
            if known is None or known.entries != entries:
                known = self._read(session_id, entries, now)
            self._former[session_id] = known
            while len(self._former) > SESSIONS_KEPT:
                self._former.popitem(last=False)
        return known

    def _read(self, session_id: str, entries: Sequence[ArchiveEntry], now: float) -> _Former:
        attempts: list[AttemptSummary] = []
        stretches: tuple[Stretch, ...] = ()
        logged = Logged()
        for entry in entries:
            session = self.archive.find(session_id, entry.attempt)
            if session is None:
                continue
            view = former_view(session, now)
            attempts.append(_summary(view))
            stretches = thinned(stitched(stretches, stretch_of(view)))
            logged = with_attempt(logged, view)
        return _Former(entries, tuple(attempts), stretches, logged)


ATTEMPTS = web.AppKey("attempts", AttemptCatalog)


def view_of_all(newest: SessionView, attempts: AllAttempts) -> SessionView:
    """Return what all attempts have come to: the state of the newest, and the curves and events of all."""
    if not attempts.has_several:
        return newest
    return replace(
        showing(newest, attempts.logged),
        loss_bins=counted_bins(attempts.stretches),
        epochs=counted_epochs(attempts.stretches),
    )


def since_the_first(whole: SessionView, attempts: AllAttempts) -> SessionView:
    """Return a run as if all its attempts were one: it began with the first, and has done what all have done."""
    return replace(
        whole,
        registered_at=attempts.listed[0].registered_at,
        batches=sum(attempt.batches for attempt in attempts.listed),
        tokens=sum(attempt.tokens for attempt in attempts.listed),
    )


def _summary(view: SessionView) -> AttemptSummary:
    places = [(bin_.first_epoch, bin_.first_batch) for bin_ in view.loss_bins]
    newest = [(view.epoch, view.batch)] if view.batches else []
    return AttemptSummary(
        view.attempt,
        view.state,
        view.status_message,
        view.registered_at,
        view.now if view.is_live else view.ended_at or view.updated_at,
        view.is_live,
        next(iter(places or newest), None),
        max([*places, *newest], default=None),
        view.batches,
        view.phase_seconds,
        view.client.started_ms,
        view.tokens,
    )


def _with_losses(attempts: Sequence[AttemptSummary]) -> tuple[AttemptSummary, ...]:
    """Return attempts with the time that was lost before each; none after one that completed, or may have gone on elsewhere."""
    return (
        *attempts[:1],
        *(
            replace(after, lost_seconds=_lost_between(before, after))
            if before.state not in (Status.COMPLETED, MOVED)
            else after
            for before, after in pairwise(attempts)
        ),
    )


def _lost_between(before: AttemptSummary, after: AttemptSummary) -> float:
    began = began_after(before.until, after.registered_at, after.started_ms)
    return max(0.0, began - before.until)
