"""What is on record of a batch: its numbers, its images, and why there are none."""

from dataclasses import dataclass

from bridge.storage.index import ImageBatch, ImageIndex, IndexedImage
from bridge.web.batch_numbers import (
    BatchKey,
    BatchNumbers,
    BatchRange,
    is_reported,
    known_range,
    numbers_of,
)
from bridge.web.missing_images import why_missing
from bridge.web.session_view import SessionView


@dataclass(frozen=True, slots=True)
class BatchOnRecord:
    """What is known of a batch, and the batches with images before and after it."""

    place: BatchKey
    batch: ImageBatch | None
    """None: it has no images."""
    images: list[IndexedImage]
    before: ImageBatch | None
    after: ImageBatch | None
    numbers: BatchNumbers
    known: BatchRange | None
    is_reported: bool


def batch_on_record(
    index: ImageIndex, session: SessionView, place: BatchKey, *, is_alone: bool = False
) -> BatchOnRecord:
    """Return what is known of a batch of an attempt; `is_alone`: its neighbours are of the same attempt."""
    attempt = session.attempt
    before, after = index.neighbours(session.id, *place, attempt=attempt if is_alone else None)
    found = index.batch(session.id, *place, attempt=attempt)
    images = index.images(session.id, *place, attempt=attempt) if found else []
    known = known_range(session, index)
    is_known = found is not None or is_reported(session, known, place)
    return BatchOnRecord(
        place, found, images, before, after, numbers_of(session, place), known, is_known
    )


def reason_of(index: ImageIndex, session: SessionView, found: BatchOnRecord, problem: str) -> str:
    """Return why a batch that was reported has no images; "": it has some, or was never reported."""
    if found.batch or not found.is_reported:
        return ""
    results = index.results(session.id, session.attempt)
    return why_missing(found.numbers, results, now=session.now, problem=problem)
