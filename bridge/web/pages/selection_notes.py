"""Say where the batch on a page is not what its link asked for."""

import math
from collections.abc import Sequence

from bridge.history import Bin
from bridge.storage.index import ImageBatch, IndexedImage, Prefer
from bridge.web.batch_numbers import highest_loss
from bridge.web.formatting import class_name, duration, number
from bridge.web.pages.batch_lookup import window_of
from bridge.web.pages.image_selection import END_OF_TIME_MS, Selection
from bridge.web.session_view import SessionView

ON_THE_WAY_SECONDS = 95.0
"""Another bridge closes a shard after 30 seconds, and this one looks for new ones every 60."""

STILL_RUNNING_SECONDS = 600.0
"""A session whose newest images are older is hardly being received anywhere."""


def time_note(selection: Selection, batch: ImageBatch) -> str:
    """Return how far from the requested time a batch came, and whether that is outside of what was asked for."""
    if selection.actual is not None and selection.predicted is not None:
        return _range_note(selection, batch)
    window = window_of(selection)
    if window is None or window[0] == END_OF_TIME_MS:
        return ""
    at_ms, window_ms = window
    before_ms = at_ms - batch.received_ms
    if 0 <= before_ms < max(window_ms, 1):
        return f"{duration(before_ms / 1000)} before the requested time."
    side = "before" if before_ms >= 0 else "after"
    return (
        f"No images were kept in the {duration(window_ms / 1000)} before the requested time."
        f" These are the nearest, {duration(abs(before_ms) / 1000)} {side} it."
    )


def recent_note(selection: Selection, newest_ms: int, now: float) -> str:
    """Return that newer images may be on their way, where a link asks for a moment ago and others receive the session."""
    window = window_of(selection)
    if window is None or window[0] <= newest_ms or now - newest_ms / 1000 > STILL_RUNNING_SECONDS:
        return ""
    if now - window[0] / 1000 > ON_THE_WAY_SECONDS:
        return ""
    return (
        f"The newest images of this session here came {duration(now - newest_ms / 1000)} ago. Those that another bridge"
        " has received since then are shown once it has uploaded them: reload this page in a minute."
    )


def lost_note(images: Sequence[IndexedImage]) -> str:
    """Return that images of a batch are lost with a bridge, or ""."""
    lost = [image.location.bridge_id for image in images if image.location.lost]
    if not lost:
        return ""
    which = (
        "All of these images are"
        if len(lost) == len(images)
        else f"{len(lost)} of these images are"
    )
    return (
        f"{which} lost: they had not reached the image store yet, and bridge {lost[0]}, which alone had them on its disk,"
        " is gone. What is known of them is shown."
    )


def mistake_note(
    selection: Selection, images: Sequence[IndexedImage], names: tuple[str, ...]
) -> str:
    """Return how many images of a batch lie in the requested cell of the confusion matrix, or ""."""
    if selection.actual is None or selection.predicted is None:
        return ""
    cell = selection.actual, selection.predicted
    inside = sum((image.true_class, image.predicted_class) == cell for image in images)
    actual, predicted = (class_name(number, names) for number in cell)
    return f"{actual} predicted as {predicted}: {inside or 'none'} of the images here."


def higher_loss(selection: Selection, batch: ImageBatch, session: SessionView) -> Bin | None:
    """Return where a higher loss was reported than that of the batch selected as having the highest; None: nowhere."""
    window = window_of(selection)
    is_judged = selection.actual is not None and selection.predicted is not None
    if window is None or is_judged or selection.prefer is Prefer.NEWEST:
        return None
    at_ms, window_ms = window
    worst = highest_loss(
        session,
        after=(at_ms - window_ms) / 1000,
        until=at_ms / 1000,
        epoch=selection.epoch,
        is_finite=selection.prefer is Prefer.MAX_FINITE_LOSS,
    )
    if worst is None or (worst.epoch, worst.batch) == (batch.epoch, batch.batch):
        return None
    return worst if _is_higher(worst, batch.loss) else None


def loss_text(worst: Bin) -> str:
    """Return the loss of a bin's worst batch in words."""
    return "not finite" if worst.nonfinite else number(worst.high)


def _is_higher(worst: Bin, loss: float | None) -> bool:
    if loss is None:
        return True
    if math.isnan(loss):
        return False
    return bool(worst.nonfinite) or worst.high > loss * (1 + 1e-9)


def _range_note(selection: Selection, batch: ImageBatch) -> str:
    first = 0 if selection.from_ms is None else selection.from_ms
    last = END_OF_TIME_MS if selection.to_ms is None else selection.to_ms
    if first <= batch.received_ms <= last:
        return ""
    return "No images of this mistake were kept in the requested time range. These are the newest outside of it."
