"""The images that this bridge has indexed and those that others have stored, as one index."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from bridge.model import ImageResult
from bridge.storage.index import (
    LAST_MS,
    ImageBatch,
    ImageEpoch,
    ImageIndex,
    IndexedImage,
    Prefer,
)

SortKey = Callable[[ImageBatch], Any]


class MergedIndex(ImageIndex):
    """Asks two indexes; a batch that both have is that of the first one."""

    def __init__(self, own: ImageIndex, other: ImageIndex) -> None:
        """Prefer what `own` has."""
        self._own = own
        self._other = other

    def batch(
        self, session_id: str, epoch: int, batch: int, *, attempt: int | None = None
    ) -> ImageBatch | None:
        """Return one batch, or None where it has no images."""
        found = (one.batch(session_id, epoch, batch, attempt=attempt) for one in self._both)
        return _first(found, lambda one: -one.attempt)

    def images(
        self, session_id: str, epoch: int, batch: int, *, attempt: int | None = None
    ) -> list[IndexedImage]:
        """Return the images of a batch, by position."""
        found = self.batch(session_id, epoch, batch, attempt=attempt)
        if found is None:
            return []
        place = (session_id, epoch, batch)
        own = self._own.images(*place, attempt=found.attempt)
        return own or self._other.images(*place, attempt=found.attempt)

    def results(self, session_id: str, attempt: int) -> dict[ImageResult, int]:
        """Return what has become of images here: the store does not know it of those of other bridges."""
        return self._own.results(session_id, attempt)

    def attempts(self, session_id: str) -> list[int]:
        """Return the attempts of a session that have images, oldest first."""
        return sorted({number for one in self._both for number in one.attempts(session_id)})

    def attempts_of_batch(self, session_id: str, epoch: int, batch: int) -> set[int]:
        """Return the attempts that have images of a batch."""
        own, other = (one.attempts_of_batch(session_id, epoch, batch) for one in self._both)
        return own | other

    def epochs(
        self, session_id: str, *, limit: int, attempt: int | None = None
    ) -> list[ImageEpoch]:
        """Return the last epochs that have images, the last one first; of one that both have, what the fuller one says."""
        found = (one.epochs(session_id, limit=limit, attempt=attempt) for one in self._both)
        fullest: dict[int, ImageEpoch] = {}
        for one in (epoch for epochs in found for epoch in epochs):
            known = fullest.setdefault(one.epoch, one)
            if one.images > known.images:
                fullest[one.epoch] = one
        return [fullest[number] for number in sorted(fullest, reverse=True)][:limit]

    def newest(
        self,
        session_id: str,
        *,
        limit: int,
        from_ms: int = 0,
        to_ms: int = LAST_MS,
        attempt: int | None = None,
    ) -> list[ImageBatch]:
        """Return the latest batches with images that arrived within a time, newest first."""
        found = [
            one.newest(session_id, limit=limit, from_ms=from_ms, to_ms=to_ms, attempt=attempt)
            for one in self._both
        ]
        return _merged(found, _newest_first, limit)

    def worst(self, session_id: str, *, limit: int, attempt: int | None = None) -> list[ImageBatch]:
        """Return the batches with the highest loss; one that is not finite counts as highest, one not reported not at all."""
        found = [one.worst(session_id, limit=limit, attempt=attempt) for one in self._both]
        return _merged(found, _worst_first, limit)

    def neighbours(
        self, session_id: str, epoch: int, batch: int, *, attempt: int | None = None
    ) -> tuple[ImageBatch | None, ImageBatch | None]:
        """Return the batches with images just before and just after one, by epoch and batch."""
        place = (session_id, epoch, batch)
        found = [one.neighbours(*place, attempt=attempt) for one in self._both]
        return (
            _first(
                (before for before, _ in found), lambda one: (-one.epoch, -one.batch, -one.attempt)
            ),
            _first((after for _, after in found), lambda one: (one.epoch, one.batch, -one.attempt)),
        )

    def at(
        self,
        session_id: str,
        *,
        at_ms: int,
        window_ms: int,
        prefer: Prefer,
        epoch: int | None = None,
        attempt: int | None = None,
    ) -> ImageBatch | None:
        """Return the batch for a point in time, as each index does."""
        found = (
            one.at(
                session_id,
                at_ms=at_ms,
                window_ms=window_ms,
                prefer=prefer,
                epoch=epoch,
                attempt=attempt,
            )
            for one in self._both
        )
        preferred = _PREFERRED[prefer]

        def nearness(one: ImageBatch) -> tuple[Any, ...]:
            if at_ms - window_ms < one.received_ms <= at_ms:
                return (0, preferred(one))
            return (1, -one.received_ms) if one.received_ms <= at_ms else (2, one.received_ms)

        return _first(found, nearness)

    def of_cell(
        self,
        session_id: str,
        *,
        actual: int,
        predicted: int,
        from_ms: int | None = None,
        to_ms: int | None = None,
        attempt: int | None = None,
    ) -> ImageBatch | None:
        """Return the newest batch that has an image of this cell of the confusion matrix."""
        found = (
            one.of_cell(
                session_id,
                actual=actual,
                predicted=predicted,
                from_ms=from_ms,
                to_ms=to_ms,
                attempt=attempt,
            )
            for one in self._both
        )
        return _first(found, _newest_first)

    def page(
        self,
        session_id: str,
        *,
        limit: int,
        after: tuple[int, int] | None = None,
        attempt: int | None = None,
    ) -> list[ImageBatch]:
        """Return batches with images by (epoch, batch), from the one following `after`."""
        found = [
            one.page(session_id, limit=limit, after=after, attempt=attempt) for one in self._both
        ]
        by_place: dict[tuple[int, int], ImageBatch] = {}
        for one in (batch for batches in found for batch in batches):
            known = by_place.setdefault((one.epoch, one.batch), one)
            if one.attempt > known.attempt:
                by_place[one.epoch, one.batch] = one
        return [by_place[place] for place in sorted(by_place)][:limit]

    @property
    def _both(self) -> tuple[ImageIndex, ImageIndex]:
        return self._own, self._other


def _first(found: Iterable[ImageBatch | None], sort_key: SortKey) -> ImageBatch | None:
    """Return the first one by a sort key; of two that are equal, that of the own index."""
    return min((one for one in found if one is not None), key=sort_key, default=None)


def _merged(
    found: Iterable[Iterable[ImageBatch]], sort_key: SortKey, limit: int
) -> list[ImageBatch]:
    once: dict[tuple[int, int, int], ImageBatch] = {}
    for one in (batch for batches in found for batch in batches):
        once.setdefault((one.attempt, one.epoch, one.batch), one)
    return sorted(once.values(), key=sort_key)[:limit]


def _newest_first(one: ImageBatch) -> tuple[int, ...]:
    return (-one.received_ms, -one.attempt, -one.epoch, -one.batch)


def _worst_first(one: ImageBatch) -> float:
    """SortKey by loss: not finite is worst, not reported best."""
    if one.loss is None:
        return math.inf
    return -math.inf if math.isnan(one.loss) else -one.loss


def _highest_first(one: ImageBatch) -> tuple[bool, float]:
    """SortKey by loss: not finite is last, behind not reported."""
    if one.loss is None:
        return False, math.inf
    return math.isnan(one.loss), -one.loss


_PREFERRED = {
    Prefer.MAX_LOSS: _worst_first,
    Prefer.MAX_FINITE_LOSS: _highest_first,
    Prefer.NEWEST: _newest_first,
}
