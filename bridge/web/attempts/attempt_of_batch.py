"""Which attempt a batch is shown of, where its address does not say."""

from dataclasses import dataclass

from bridge.storage.index import ImageIndex
from bridge.web.attempts.catalog import AllAttempts, AttemptCatalog, AttemptSummary
from bridge.web.attempts.former import former_view
from bridge.web.batch_numbers import BatchKey
from bridge.web.dependencies import Archive
from bridge.web.session_view import SessionView

MAX_OTHERS = 8
"""Other attempts that a page of a batch leads to; the newest ones."""


@dataclass(frozen=True, slots=True)
class OtherAttempt:
    """An attempt that has the same batch."""

    number: int
    images: int
    """0: its images are not kept, or it had none."""


@dataclass(frozen=True, slots=True)
class AttemptOfBatch:
    """An attempt that has a batch, and the others that have it as well."""

    session: SessionView
    others: tuple[OtherAttempt, ...] = ()


def attempt_of_batch(
    index: ImageIndex,
    archive: Archive,
    catalog: AttemptCatalog,
    newest: SessionView,
    place: BatchKey,
    asked: SessionView | None,
) -> AttemptOfBatch:
    """Return the attempt that was asked for, else the newest that has the batch, or else the newest; blocks."""
    if newest.attempt == 1 and asked is None:
        return AttemptOfBatch(newest)
    attempts = catalog.all_of(newest)
    having = _having(index, attempts, newest.id, place)
    number = asked.attempt if asked is not None else max(having, default=newest.attempt)
    chosen = asked or _view(archive, newest, number)
    others = sorted((one for one in having if one != chosen.attempt), reverse=True)[:MAX_OTHERS]
    return AttemptOfBatch(chosen, tuple(_other(index, newest.id, place, one) for one in others))


def _having(index: ImageIndex, attempts: AllAttempts, session_id: str, place: BatchKey) -> set[int]:
    """Return the attempts that have a batch, by the range of what each has reported or by its images."""
    having = {attempt.number for attempt in attempts.listed if _includes(attempt, place)}
    return having | index.attempts_of_batch(session_id, *place)


def _includes(attempt: AttemptSummary, place: BatchKey) -> bool:
    first, last = attempt.first, attempt.last
    return first is not None and last is not None and first <= place <= last


def _view(archive: Archive, newest: SessionView, number: int) -> SessionView:
    """Return an attempt; the newest one where that is not kept any longer."""
    session = None if number == newest.attempt else archive.find(newest.id, number)
    return newest if session is None else former_view(session, newest.now)


def _other(index: ImageIndex, session_id: str, place: BatchKey, number: int) -> OtherAttempt:
    batch = index.batch(session_id, *place, attempt=number)
    return OtherAttempt(number, batch.images if batch else 0)
