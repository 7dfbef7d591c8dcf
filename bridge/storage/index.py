"""Which images there are, and where their bytes lie."""

from dataclasses import dataclass
from enum import StrEnum

from bridge.storage.database import Database


class Prefer(StrEnum):
    """Which of several batches is meant."""

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
    """None: not a number, or infinite."""
    images: int


@dataclass(frozen=True, slots=True)
class Place:
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
    """Its place in the batch, from 0; images that were refused leave gaps."""
    predicted_class: int | None
    confidence: float | None
    true_class: int | None
    place: Place

    @property
    def is_wrong(self) -> bool:
        """Tell whether the prediction is known to be wrong."""
        known = self.predicted_class is not None and self.true_class is not None
        return known and self.predicted_class != self.true_class


class ImageIndex:
    """Answers questions about the images that have been committed; every method may run in any thread."""

    def __init__(self, database: Database) -> None:
        """Ask the database given."""
        self._database = database

    def batch(self, session_id: str, epoch: int, batch: int) -> ImageBatch | None:
        """Return one batch, or None where it has no images."""
        raise NotImplementedError

    def images(self, session_id: str, epoch: int, batch: int) -> list[IndexedImage]:
        """Return the images of a batch, by position."""
        raise NotImplementedError

    def newest(self, session_id: str, *, limit: int) -> list[ImageBatch]:
        """Return the latest batches with images, newest first."""
        raise NotImplementedError

    def worst(self, session_id: str, *, limit: int) -> list[ImageBatch]:
        """Return the batches with the highest loss; not a number counts as highest."""
        raise NotImplementedError

    def neighbours(
        self, session_id: str, epoch: int, batch: int
    ) -> tuple[ImageBatch | None, ImageBatch | None]:
        """Return the batches with images right before and after one, by epoch and batch."""
        raise NotImplementedError

    def at(
        self,
        session_id: str,
        *,
        at_ms: int,
        window_ms: int,
        prefer: Prefer,
        epoch: int | None = None,
    ) -> ImageBatch | None:
        """Return the batch meant by a moment.

        Within (at - window, at] the one preferred; else the nearest older, else the first after.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    def page(
        self, session_id: str, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[ImageBatch]:
        """Return batches with images by (epoch, batch), from the one behind `after`."""
        raise NotImplementedError
