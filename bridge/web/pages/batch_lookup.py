"""Find the batch that a selection means."""

from functools import partial

from bridge.storage.index import ImageBatch, ImageIndex, Prefer
from bridge.web.pages.image_selection import END_OF_TIME_MS, Selection

DEFAULT_WINDOW_MS = 60_000
"""Used where a link does not say how far its points are apart."""


def find_batch(index: ImageIndex, session_id: str, selection: Selection) -> ImageBatch | None:
    """Return the batch meant, by the most specific part of the selection; None: no images are kept."""
    attempt = selection.attempt
    if selection.place is not None:
        return _batch_or_nearest(index, session_id, *selection.place, attempt)
    if selection.actual is not None and selection.predicted is not None:
        cell = partial(
            index.of_cell,
            session_id,
            actual=selection.actual,
            predicted=selection.predicted,
            attempt=attempt,
        )
        return cell(from_ms=selection.from_ms, to_ms=selection.to_ms) or cell()
    return _by_time(index, session_id, selection)


def _batch_or_nearest(
    index: ImageIndex, session_id: str, epoch: int, batch: int, attempt: int | None
) -> ImageBatch | None:
    """Return the batch, or the nearest one where its images were not kept."""
    exact = index.batch(session_id, epoch, batch, attempt=attempt)
    if exact is not None:
        return exact
    return min(
        (found for found in index.neighbours(session_id, epoch, batch, attempt=attempt) if found),
        key=lambda found: (abs(found.epoch - epoch), abs(found.batch - batch)),
        default=None,
    )


def _by_time(index: ImageIndex, session_id: str, selection: Selection) -> ImageBatch | None:
    window = window_of(selection)
    if window is None:
        return next(iter(index.newest(session_id, limit=1, attempt=selection.attempt)), None)
    at_ms, window_ms = window
    return index.at(
        session_id,
        at_ms=at_ms,
        window_ms=window_ms,
        prefer=selection.prefer or Prefer.MAX_LOSS,
        epoch=selection.epoch,
        attempt=selection.attempt,
    )


def window_of(selection: Selection) -> tuple[int, int] | None:
    """Return the end and the length of the time to look in; None: only the newest batch is meant."""
    if selection.at_ms is not None:
        given = selection.window_ms
        window_ms = DEFAULT_WINDOW_MS if given is None else given
        return selection.at_ms, window_ms + (selection.held_ms or 0)
    if selection.to_ms is not None:
        return selection.to_ms, selection.to_ms - min(selection.from_ms or 0, selection.to_ms)
    if selection.from_ms is not None:
        return END_OF_TIME_MS, END_OF_TIME_MS - selection.from_ms
    if selection.epoch is not None or selection.prefer in (Prefer.MAX_LOSS, Prefer.MAX_FINITE_LOSS):
        return END_OF_TIME_MS, END_OF_TIME_MS
    return None
