"""Joins the attempts of a run by epoch and batch: what a later attempt has done again no longer counts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bridge.history import Bin, joined
from bridge.model import Epoch
from bridge.web.batch_numbers import BatchKey
from bridge.web.session_view import SessionView

MAX_BINS = 480
"""Of all attempts together: as wide as a chart is drawn at most."""

MAX_EPOCHS = 2_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one attempt has added to a run."""

    attempt: int
    bins: tuple[Bin, ...]
    """Of its loss curve, what counts."""
    superseded: tuple[Bin, ...] = ()
    """What a later attempt has done again."""
    epochs: tuple[Epoch, ...] = ()
    """Those that count."""


def stretch_of(attempt: SessionView) -> Stretch:
    """Return all that an attempt has reported, as if it were the last one."""
    return Stretch(attempt.attempt, attempt.loss_bins, epochs=attempt.epochs_done)


def stitched(before: Sequence[Stretch], after: Stretch) -> tuple[Stretch, ...]:
    """Return a run with one more attempt: what came behind the place where that began is superseded."""
    begun = place_begun(after)
    if begun is None:
        return (*before, after)
    return (*(_cut(stretch, begun) for stretch in before), after)


def place_begun(stretch: Stretch) -> BatchKey | None:
    """Return the first batch of an attempt, or the first epoch where it reports no losses; None: nothing is known."""
    first = [(bin_.first_epoch, bin_.first_batch) for bin_ in stretch.bins[:1]]
    return next(iter(first or [(epoch.number, 0) for epoch in stretch.epochs[:1]]), None)


def thinned(stretches: Sequence[Stretch], limit: int = MAX_BINS) -> tuple[Stretch, ...]:
    """Return a run in at most so many bins, and as many superseded ones; each of them keeps its extremes."""
    counted = _thinned([stretch.bins for stretch in stretches], limit)
    superseded = _thinned([stretch.superseded for stretch in stretches], limit)
    left = MAX_EPOCHS
    parts: list[Stretch] = []
    for stretch, bins, again in reversed(list(zip(stretches, counted, superseded, strict=True))):
        epochs = stretch.epochs[-left:] if left else ()
        left -= len(epochs)
        parts.append(replace(stretch, bins=bins, superseded=again, epochs=epochs))
    return tuple(reversed(parts))


def counted_bins(stretches: Iterable[Stretch]) -> tuple[Bin, ...]:
    """Return the loss curve of a run."""
    return tuple(bin_ for stretch in stretches for bin_ in stretch.bins)


def counted_epochs(stretches: Iterable[Stretch]) -> tuple[Epoch, ...]:
    """Return the averages of a run's epochs, by number."""
    newest = {epoch.number: epoch for stretch in stretches for epoch in stretch.epochs}
    return tuple(epoch for _, epoch in sorted(newest.items()))


def _cut(stretch: Stretch, begun: BatchKey) -> Stretch:
    """Return a stretch without what comes after the last time that it was before a place.

    An attempt may have gone back by itself, and passed a place more than once: all of that counts.
    """
    before = (
        index
        for index, bin_ in reversed(list(enumerate(stretch.bins)))
        if (bin_.first_epoch, bin_.first_batch) < begun
    )
    end = next(before, -1) + 1
    return replace(
        stretch,
        bins=stretch.bins[:end],
        superseded=(*stretch.bins[end:], *stretch.superseded),
        epochs=tuple(epoch for epoch in stretch.epochs if epoch.number < begun[0]),
    )


def _thinned(curves: Sequence[tuple[Bin, ...]], limit: int) -> list[tuple[Bin, ...]]:
    """Return curves in at most `limit` bins, or in one bin each: the longest is halved until they fit."""
    curves = list(curves)
    while sum(map(len, curves)) > limit and max(map(len, curves)) > 1:
        longest = max(range(len(curves)), key=lambda index: len(curves[index]))
        curves[longest] = _halved(curves[longest], joined)
    return curves


def _halved(bins: tuple[Bin, ...], join: Callable[[Bin, Bin], Bin]) -> tuple[Bin, ...]:
    pairs = [join(a, b) for a, b in zip(bins[::2], bins[1::2], strict=False)]
    return (*pairs, *bins[len(pairs) * 2 :])
