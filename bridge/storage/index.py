"""Query the image index: which images there are, and where their bytes lie."""

from dataclasses import dataclass
from enum import StrEnum

from bridge.model import ImageResult, is_ratio
from bridge.storage.database import Database, Row
from bridge.storage.image_counts import counts_of
from bridge.storage.shards import loss_of_row

BATCH = (
    "SELECT session_id, epoch, batch, received_ms, loss, images FROM batches WHERE session_id = ?"
)
IN_EPOCH = " AND (?2 IS NULL OR epoch = ?2)"
BY_LOSS = " ORDER BY (loss IS NULL) DESC, loss DESC"

LAST_MS = 2**63 - 1


class Prefer(StrEnum):
    """Which of several batches in a window is returned."""

    MAX_LOSS = "max_loss"
    NEWEST = "newest"


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
    """Queries the images that have been committed; every method may run in any thread."""

    def __init__(self, database: Database) -> None:
        """Query `database`."""
        self._database = database

    def batch(self, session_id: str, epoch: int, batch: int) -> ImageBatch | None:
        """Return one batch, or None where it has no images."""
        return self._first(f"{BATCH} AND epoch = ? AND batch = ?", session_id, epoch, batch)

    def images(self, session_id: str, epoch: int, batch: int) -> list[IndexedImage]:
        """Return the images of a batch, by position."""
        rows = self._database.query(
            "SELECT position, predicted_class, confidence, true_class, key, stored, offset, length"
            " FROM images JOIN shards USING (shard_id)"
            " WHERE images.session_id = ? AND epoch = ? AND batch = ? ORDER BY position",
            (session_id, epoch, batch),
        )
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

    def newest(self, session_id: str, *, limit: int) -> list[ImageBatch]:
        """Return the latest batches with images, newest first."""
        return self._all(
            f"{BATCH} ORDER BY received_ms DESC, epoch DESC, batch DESC LIMIT ?", session_id, limit
        )

    def worst(self, session_id: str, *, limit: int) -> list[ImageBatch]:
        """Return the batches with the highest loss; one that is not finite counts as highest, one not reported not at all."""
        highest = self._all(f"{BATCH}{BY_LOSS} LIMIT ?", session_id, limit)
        return [batch for batch in highest if batch.loss is not None]

    def neighbours(
        self, session_id: str, epoch: int, batch: int
    ) -> tuple[ImageBatch | None, ImageBatch | None]:
        """Return the batches with images just before and just after one, by epoch and batch."""
        return (
            self._first(
                f"{BATCH} AND (epoch, batch) < (?, ?) ORDER BY epoch DESC, batch DESC LIMIT 1",
                session_id,
                epoch,
                batch,
            ),
            self._first(
                f"{BATCH} AND (epoch, batch) > (?, ?) ORDER BY epoch, batch LIMIT 1",
                session_id,
                epoch,
                batch,
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
    ) -> ImageBatch | None:
        """Return the batch for a point in time.

        The preferred one within (at - window, at]; else the nearest older, else the first after.
        """
        order = BY_LOSS if prefer is Prefer.MAX_LOSS else " ORDER BY received_ms DESC"
        older = f"{BATCH}{IN_EPOCH} AND received_ms <= ?3"
        return (
            self._first(
                f"{older} AND received_ms > ?4{order} LIMIT 1",
                session_id,
                epoch,
                at_ms,
                at_ms - window_ms,
            )
            or self._first(f"{older} ORDER BY received_ms DESC LIMIT 1", session_id, epoch, at_ms)
            or self._first(
                f"{BATCH}{IN_EPOCH} AND received_ms > ?3 ORDER BY received_ms LIMIT 1",
                session_id,
                epoch,
                at_ms,
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
    ) -> ImageBatch | None:
        """Return the newest batch that has an image of this cell of the confusion matrix."""
        rows = self._database.query(
            "SELECT epoch, batch FROM images"
            " WHERE session_id = ? AND true_class = ? AND predicted_class = ?"
            " AND received_ms BETWEEN ? AND ? ORDER BY received_ms DESC LIMIT 1",
            (
                session_id,
                actual,
                predicted,
                0 if from_ms is None else from_ms,
                LAST_MS if to_ms is None else to_ms,
            ),
        )
        return self.batch(session_id, *rows[0]) if rows else None

    def page(
        self, session_id: str, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[ImageBatch]:
        """Return batches with images by (epoch, batch), from the one following `after`."""
        return self._all(
            f"{BATCH} AND (epoch, batch) > (?, ?) ORDER BY epoch, batch LIMIT ?",
            session_id,
            *(after or (-1, -1)),
            limit,
        )

    def _all(self, sql: str, *parameters: object) -> list[ImageBatch]:
        return [_batch(row) for row in self._database.query(sql, parameters)]

    def _first(self, sql: str, *parameters: object) -> ImageBatch | None:
        return next(iter(self._all(sql, *parameters)), None)


def _batch(row: Row) -> ImageBatch:
    session_id, epoch, batch, received_ms, loss, images = row
    return ImageBatch(session_id, epoch, batch, received_ms, loss_of_row(loss), images)


def _confidence(stored: float | None) -> float | None:
    """Return a confidence; rows of older versions have 0 for one not reported, and also other numbers."""
    return stored if stored and is_ratio(stored) else None
