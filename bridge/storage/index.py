"""Query the image index: which images there are, and where their bytes lie."""

from dataclasses import dataclass
from enum import StrEnum

from bridge.model import ImageResult, is_ratio
from bridge.storage.database import Database, Row
from bridge.storage.image_counts import counts_of
from bridge.storage.shards import loss_of_row

COLUMNS = "session_id, epoch, batch, received_ms, loss, images, attempt"
BATCH = f"SELECT {COLUMNS} FROM batches WHERE session_id = ?1"  # noqa: S608 -- a constant
OF_ANY_ATTEMPT, OF_ATTEMPT = " AND ?2 IS NULL", " AND attempt = ?2"
IN_EPOCH = " AND (?3 IS NULL OR epoch = ?3)"
BY_LOSS = " ORDER BY (loss IS NULL) DESC, loss DESC"
BY_FINITE_LOSS = " ORDER BY loss DESC"
"""NULL, which a loss that is not finite is, comes last."""

PAGE_OF_ATTEMPT = (
    f"{BATCH}{OF_ATTEMPT} AND (epoch, batch) > (?3, ?4) ORDER BY epoch, batch LIMIT ?5"
)
PAGE = (
    # SQLite takes the other columns from the row with the maximum (sqlite.org/lang_select.html, "bare columns").
    f"SELECT {COLUMNS.removesuffix('attempt')} max(attempt) FROM batches"  # noqa: S608 -- constants
    " WHERE session_id = ?1 AND ?2 IS NULL AND (epoch, batch) > (?3, ?4)"
    " GROUP BY epoch, batch ORDER BY epoch, batch LIMIT ?5"
)
IMAGES = (
    "SELECT position, predicted_class, confidence, true_class, key, stored, offset, length"
    " FROM images JOIN shards USING (shard_id)"
    " WHERE images.session_id = ?1 AND epoch = ?3 AND batch = ?4 AND images.attempt = coalesce("
    "?2, (SELECT max(attempt) FROM batches WHERE session_id = ?1 AND epoch = ?3 AND batch = ?4))"
    " ORDER BY position"
)
EPOCHS = (
    "SELECT epoch, count(*), sum(images) FROM batches WHERE session_id = ?1 AND (?2 IS NULL OR attempt = ?2)"
    " GROUP BY epoch ORDER BY epoch DESC LIMIT ?3"
)
ATTEMPTS_OF_BATCH = "SELECT attempt FROM batches WHERE session_id = ? AND epoch = ? AND batch = ?"
ATTEMPTS = "SELECT DISTINCT attempt FROM batches WHERE session_id = ? ORDER BY attempt"

LAST_MS = 2**63 - 1


class Prefer(StrEnum):
    """Which of several batches in a window is returned."""

    MAX_LOSS = "max_loss"
    """A loss that is not finite ranks highest."""
    MAX_FINITE_LOSS = "max_finite_loss"
    """It ranks lowest: what a series of extremes shows."""
    NEWEST = "newest"


SEQUENCES = {
    Prefer.MAX_LOSS: BY_LOSS,
    Prefer.MAX_FINITE_LOSS: BY_FINITE_LOSS,
    Prefer.NEWEST: " ORDER BY received_ms DESC",
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
        return self._first(
            f"{_of(attempt)} AND epoch = ?3 AND batch = ?4 ORDER BY attempt DESC LIMIT 1",
            session_id,
            attempt,
            epoch,
            batch,
        )

    def images(
        self, session_id: str, epoch: int, batch: int, *, attempt: int | None = None
    ) -> list[IndexedImage]:
        """Return the images of a batch, by position."""
        rows = self._database.query(IMAGES, (session_id, attempt, epoch, batch))
        return [
            IndexedImage(
                position,
                predicted,
                _confidence(confidence),
                true,
                ImageLocation(key, bool(stored), *where),
            )
            for position, predicted, confidence, true, key, stored, *where in rows
        ]

    def results(self, session_id: str, attempt: int) -> dict[ImageResult, int]:
        """Return what has become of the images of a session's attempt: how many had which result."""
        counts = counts_of(self._database, session_id, attempt).counts
        return {count.result: count.images for count in counts}

    def attempts(self, session_id: str) -> list[int]:
        """Return the attempts of a session that have images, oldest first."""
        return [attempt for [attempt] in self._database.query(ATTEMPTS, (session_id,))]

    def attempts_of_batch(self, session_id: str, epoch: int, batch: int) -> set[int]:
        """Return the attempts that have images of a batch."""
        rows = self._database.query(ATTEMPTS_OF_BATCH, (session_id, epoch, batch))
        return {attempt for [attempt] in rows}

    def epochs(
        self, session_id: str, *, limit: int, attempt: int | None = None
    ) -> list[ImageEpoch]:
        """Return the last epochs that have images, the last one first."""
        rows = self._database.query(EPOCHS, (session_id, attempt, limit))
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
        return self._all(
            f"{_of(attempt)} AND received_ms BETWEEN ?4 AND ?5"
            " ORDER BY received_ms DESC, attempt DESC, epoch DESC, batch DESC LIMIT ?3",
            session_id,
            attempt,
            limit,
            from_ms,
            to_ms,
        )

    def worst(self, session_id: str, *, limit: int, attempt: int | None = None) -> list[ImageBatch]:
        """Return the batches with the highest loss; one that is not finite counts as highest, one not reported not at all."""
        highest = self._all(f"{_of(attempt)}{BY_LOSS} LIMIT ?3", session_id, attempt, limit)
        return [batch for batch in highest if batch.loss is not None]

    def neighbours(
        self, session_id: str, epoch: int, batch: int, *, attempt: int | None = None
    ) -> tuple[ImageBatch | None, ImageBatch | None]:
        """Return the batches with images just before and just after one, by epoch and batch."""
        place = (session_id, attempt, epoch, batch)
        return (
            self._first(
                f"{_of(attempt)} AND (epoch, batch) < (?3, ?4)"
                " ORDER BY epoch DESC, batch DESC, attempt DESC LIMIT 1",
                *place,
            ),
            self._first(
                f"{_of(attempt)} AND (epoch, batch) > (?3, ?4)"
                " ORDER BY epoch, batch, attempt DESC LIMIT 1",
                *place,
            ),
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
        order = SEQUENCES[prefer]
        older = f"{_of(attempt)}{IN_EPOCH} AND received_ms <= ?4"
        place = (session_id, attempt, epoch, at_ms)
        return (
            self._first(f"{older} AND received_ms > ?5{order} LIMIT 1", *place, at_ms - window_ms)
            or self._first(f"{older} ORDER BY received_ms DESC LIMIT 1", *place)
            or self._first(
                f"{_of(attempt)}{IN_EPOCH} AND received_ms > ?4 ORDER BY received_ms LIMIT 1",
                *place,
            )
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
        rows = self._database.query(
            "SELECT epoch, batch, attempt FROM images"
            " WHERE session_id = ?1 AND true_class = ?3 AND predicted_class = ?4"
            " AND received_ms BETWEEN ?5 AND ?6 AND (?2 IS NULL OR attempt = ?2)"
            " ORDER BY received_ms DESC LIMIT 1",
            (
                session_id,
                attempt,
                actual,
                predicted,
                0 if from_ms is None else from_ms,
                LAST_MS if to_ms is None else to_ms,
            ),
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
        place = (session_id, attempt, *(after or (-1, -1)), limit)
        return self._all(PAGE if attempt is None else PAGE_OF_ATTEMPT, *place)

    def _all(self, sql: str, *parameters: object) -> list[ImageBatch]:
        return [_batch(row) for row in self._database.query(sql, parameters)]

    def _first(self, sql: str, *parameters: object) -> ImageBatch | None:
        return next(iter(self._all(sql, *parameters)), None)


def _of(attempt: int | None) -> str:
    """Return a query of batches, of one attempt or of all, in a form for which SQLite finds the right index."""
    return BATCH + (OF_ANY_ATTEMPT if attempt is None else OF_ATTEMPT)


def _batch(row: Row) -> ImageBatch:
    session_id, epoch, batch, received_ms, loss, images, attempt = row
    return ImageBatch(session_id, epoch, batch, received_ms, loss_of_row(loss), images, attempt)


def _confidence(stored: float | None) -> float | None:
    """Return a confidence; rows of older versions have 0 for one not reported, and also other numbers."""
    return stored if stored and is_ratio(stored) else None
