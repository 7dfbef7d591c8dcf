"""Query the image index: which images there are, and where their bytes lie."""

from dataclasses import dataclass
from enum import StrEnum

from bridge.model import ImageResult, is_ratio
from bridge.storage.database import Database, Row
from bridge.storage.image_counts import counts_of
from bridge.storage.index_queries import (
    AFTER,
    ATTEMPTS,
    ATTEMPTS_OF_BATCH,
    BEFORE,
    EPOCHS,
    FIND_BATCH,
    FIRST_AFTER,
    IMAGES_OF_BATCH,
    IN_WINDOW_BY_FINITE_LOSS,
    IN_WINDOW_BY_LOSS,
    IN_WINDOW_BY_TIME,
    LAST_UNTIL,
    NEWEST,
    OF_CELL,
    PAGE,
    WORST,
    ByAttempt,
)
from bridge.storage.shards import LOST, STORED, loss_of_row

LAST_MS = 2**63 - 1


class Prefer(StrEnum):
    """Which of several batches in a window is returned."""

    MAX_LOSS = "max_loss"
    """A loss that is not finite ranks highest."""
    MAX_FINITE_LOSS = "max_finite_loss"
    """It ranks lowest: what a series of extremes shows."""
    NEWEST = "newest"


PREFERRED = {
    Prefer.MAX_LOSS: IN_WINDOW_BY_LOSS,
    Prefer.MAX_FINITE_LOSS: IN_WINDOW_BY_FINITE_LOSS,
    Prefer.NEWEST: IN_WINDOW_BY_TIME,
}


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """A batch with images."""

    session_id: str
    epoch: int
    batch: int
    received_ms: int
    loss: float | None
    """None: not reported; NaN: not finite."""
    images: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ImageEpoch:
    """An epoch, and how many of its batches have images."""

    epoch: int
    batches: int
    images: int


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """Where the bytes of an image lie."""

    key: str
    """Of the shard: in the spool until `stored`, in the object store from then on."""
    stored: bool
    offset: int
    length: int
    bridge_id: str = ""
    """Whose spool has it, where several bridges share the index."""
    lost: bool = False
    """It went with a bridge that is gone."""


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """One image of a batch."""

    position: int
    """Its position in the batch, from 0; images that were refused leave gaps."""
    predicted_class: int | None
    confidence: float | None
    true_class: int | None
    location: ImageLocation

    @property
    def is_wrong(self) -> bool:
        """Return whether the prediction is known to be wrong."""
        known = self.predicted_class is not None and self.true_class is not None
        return known and self.predicted_class != self.true_class


class ImageIndex:
    """Queries the images that have been committed; every method may run in any thread.

    Attempts of a session may come past the same epoch and batch. With `attempt` only the batches of that one
    are returned; without it those of all, each naming its own, and where one batch is asked for by epoch and
    batch, or batches are returned in that order, that of the newest attempt which has it.
    """

    def __init__(self, database: Database) -> None:
        """Query `database`."""
        self._database = database

    def batch(
        self, session_id: str, epoch: int, batch: int, *, attempt: int | None = None
    ) -> ImageBatch | None:
        """Return one batch, or None where it has no images."""
        return self._first(FIND_BATCH, attempt, session_id=session_id, epoch=epoch, batch=batch)

    def images(
        self, session_id: str, epoch: int, batch: int, *, attempt: int | None = None
    ) -> list[IndexedImage]:
        """Return the images of a batch, by position."""
        rows = self._query(
            IMAGES_OF_BATCH, attempt, session_id=session_id, epoch=epoch, batch=batch
        )
        return [
            IndexedImage(
                position,
                predicted,
                _confidence(confidence),
                true,
                ImageLocation(key, stored == STORED, offset, length, bridge_id, stored == LOST),
            )
            for position, predicted, confidence, true, key, stored, offset, length, bridge_id in rows
        ]

    def results(self, session_id: str, attempt: int) -> dict[ImageResult, int]:
        """Return what has become of the images of a session's attempt: how many had which result."""
        counts = counts_of(self._database, session_id, attempt).counts
        return {count.result: count.images for count in counts}

    def attempts(self, session_id: str) -> list[int]:
        """Return the attempts of a session that have images, oldest first."""
        rows = self._database.query(ATTEMPTS, {"session_id": session_id})
        return [attempt for [attempt] in rows]

    def attempts_of_batch(self, session_id: str, epoch: int, batch: int) -> set[int]:
        """Return the attempts that have images of a batch."""
        place = {"session_id": session_id, "epoch": epoch, "batch": batch}
        rows = self._database.query(ATTEMPTS_OF_BATCH, place)
        return {attempt for [attempt] in rows}

    def epochs(
        self, session_id: str, *, limit: int, attempt: int | None = None
    ) -> list[ImageEpoch]:
        """Return the last epochs that have images, the last one first."""
        rows = self._query(EPOCHS, attempt, session_id=session_id, limit=limit)
        return [ImageEpoch(*row) for row in rows]

    def last_attempt(self, session_id: str) -> int:
        """Return the last attempt of a session that has images; 0: none has."""
        return max(self.attempts(session_id), default=0)

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
        times = {"from_ms": from_ms, "to_ms": to_ms}
        return self._all(NEWEST, attempt, session_id=session_id, limit=limit, **times)

    def worst(self, session_id: str, *, limit: int, attempt: int | None = None) -> list[ImageBatch]:
        """Return the batches with the highest loss; one that is not finite counts as highest, one not reported not at all."""
        highest = self._all(WORST, attempt, session_id=session_id, limit=limit)
        return [batch for batch in highest if batch.loss is not None]

    def neighbours(
        self, session_id: str, epoch: int, batch: int, *, attempt: int | None = None
    ) -> tuple[ImageBatch | None, ImageBatch | None]:
        """Return the batches with images just before and just after one, by epoch and batch."""
        place = {"session_id": session_id, "epoch": epoch, "batch": batch}
        return (
            self._first(BEFORE, attempt, **place),
            self._first(AFTER, attempt, **place),
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
        """Return the batch for a point in time.

        The preferred one within (at - window, at]; else the nearest older, else the first after.
        """
        moment = {"session_id": session_id, "epoch": epoch, "at_ms": at_ms}
        return (
            self._first(PREFERRED[prefer], attempt, **moment, from_ms=at_ms - window_ms)
            or self._first(LAST_UNTIL, attempt, **moment)
            or self._first(FIRST_AFTER, attempt, **moment)
        )

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
        rows = self._query(
            OF_CELL,
            attempt,
            session_id=session_id,
            actual=actual,
            predicted=predicted,
            from_ms=0 if from_ms is None else from_ms,
            to_ms=LAST_MS if to_ms is None else to_ms,
        )
        return self.batch(session_id, *rows[0][:2], attempt=rows[0][2]) if rows else None

    def page(
        self,
        session_id: str,
        *,
        limit: int,
        after: tuple[int, int] | None = None,
        attempt: int | None = None,
    ) -> list[ImageBatch]:
        """Return batches with images by (epoch, batch), from the one following `after`."""
        epoch, batch = after or (-1, -1)
        place = {"session_id": session_id, "epoch": epoch, "batch": batch}
        return self._all(PAGE, attempt, **place, limit=limit)

    def _query(self, query: ByAttempt, attempt: int | None, **parameters: object) -> list[Row]:
        if attempt is not None:
            parameters["attempt"] = attempt
        return self._database.query(query.of(attempt), parameters)

    def _all(self, query: ByAttempt, attempt: int | None, **parameters: object) -> list[ImageBatch]:
        return [_batch(row) for row in self._query(query, attempt, **parameters)]

    def _first(
        self, query: ByAttempt, attempt: int | None, **parameters: object
    ) -> ImageBatch | None:
        return next(iter(self._all(query, attempt, **parameters)), None)


def _batch(row: Row) -> ImageBatch:
    session_id, epoch, batch, received_ms, loss, images, attempt = row
    return ImageBatch(session_id, epoch, batch, received_ms, loss_of_row(loss), images, attempt)


def _confidence(stored: float | None) -> float | None:
    """Return a confidence; rows of older versions have 0 for one not reported, and also other numbers."""
    return stored if stored and is_ratio(stored) else None
