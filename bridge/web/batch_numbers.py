"""What is on record of a batch apart from its images, and which batches a session has reported."""

import math
from dataclasses import dataclass

from bridge.history import Bin
from bridge.storage.index import ImageIndex
from bridge.web.request_params import MAX_UINT32
from bridge.web.session_view import SessionView

BatchKey = tuple[int, int]
"""Epoch and batch."""


@dataclass(frozen=True, slots=True)
class BatchNumbers:
    """The numbers of one batch; None: not on record."""

    loss: float | None = None
    """NaN: not finite."""
    received_at: float | None = None
    images: int | None = None
    """How many images came with it."""
    around: Bin | None = None
    """The stretch of the loss curve that it lies in, where its own loss is not on record."""


@dataclass(frozen=True, slots=True)
class BatchRange:
    """The first and the last batch of a session."""

    first: BatchKey
    last: BatchKey


def numbers_of(session: SessionView, place: BatchKey) -> BatchNumbers:
    """Return what the loss curve of a session holds of a batch; later reports come first where a loop went back."""
    bins = session.loss_bins
    for bin_ in reversed(bins):
        if (bin_.epoch, bin_.batch) == place:
            loss = math.nan if bin_.nonfinite else bin_.high
            return BatchNumbers(loss, bin_.worst_at, bin_.images)
    ends = [*((bin_.first_epoch, bin_.first_batch) for bin_ in bins[1:]), _end_of(session)]
    for bin_, end in reversed(list(zip(bins, ends, strict=False))):
        if (bin_.first_epoch, bin_.first_batch) <= place < end:
            return BatchNumbers(around=bin_)
    return BatchNumbers()


def known_range(session: SessionView, index: ImageIndex) -> BatchRange | None:
    """Return the range of a session's batches, by its numbers and its images; None: there are none."""
    places = [(bin_.first_epoch, bin_.first_batch) for bin_ in session.loss_bins]
    places += [(bin_.epoch, bin_.batch) for bin_ in session.loss_bins]
    if session.batches:
        places += [(session.epoch, session.batch), *([] if places else [(0, 0)])]
    with_images = (
        *index.page(session.id, limit=1, attempt=session.attempt),
        index.neighbours(session.id, MAX_UINT32 + 1, 0, attempt=session.attempt)[0],
    )
    places += [(batch.epoch, batch.batch) for batch in with_images if batch]
    return BatchRange(min(places), max(places)) if places else None


def is_reported(session: SessionView, known: BatchRange | None, place: BatchKey) -> bool:
    """Return whether a batch lies among those that a session has reported."""
    if known is None or not known.first <= place <= known.last:
        return False
    per_epoch = session.config.batches_per_epoch
    return not per_epoch or place[1] <= per_epoch or place == known.last


def highest_loss(
    session: SessionView,
    *,
    after: float,
    until: float,
    epoch: int | None = None,
    is_finite: bool = False,
) -> Bin | None:
    """Return the bin whose worst batch is the worst of (`after`, `until`], perhaps of one epoch.

    `is_finite`: only of bins whose losses are.
    """
    found = [
        bin_
        for bin_ in session.loss_bins
        if after < bin_.worst_at <= until and epoch in (None, bin_.epoch)
        if not (is_finite and bin_.nonfinite)
    ]
    return max(found, key=lambda bin_: (bin_.nonfinite > 0, bin_.high), default=None)


def _end_of(session: SessionView) -> BatchKey:
    """Return the place behind the last batch."""
    return session.epoch, session.batch + 1
