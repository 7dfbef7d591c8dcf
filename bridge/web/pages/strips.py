"""Batches as strips of a few of their images, wrong ones first."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.history import Bin
from bridge.storage.index import ImageBatch, ImageIndex
from bridge.web.attempts.stitching import Stretch
from bridge.web.formatting import class_name
from bridge.web.links import batch_link, image_link
from bridge.web.session_view import SessionView

MAX_TILES = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """A thumbnail."""

    link: str
    text: str
    is_wrong: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """A batch and a few of its images."""

    link: str
    epoch: int
    number: int
    loss: float | None
    """None: not reported; NaN: not finite."""
    images: int
    attempt: int | None = None
    """None: its session has only one."""
    tiles: tuple[Tile, ...] = ()
    wrong: int = 0


def strips_of(
    index: ImageIndex,
    batches: Iterable[ImageBatch],
    names: tuple[str, ...],
    *,
    has_several: bool = False,
) -> tuple[Strip, ...]:
    """Return a strip for each batch; `has_several`: which attempt it is of makes a difference."""
    return tuple(
        _strip(index, batch, names, batch.attempt if has_several else None) for batch in batches
    )


def worst_strips(
    index: ImageIndex,
    session: SessionView,
    stretches: Sequence[Stretch],
    *,
    limit: int,
    attempt: int | None = None,
    has_several: bool = False,
) -> tuple[Strip, ...]:
    """Return the batches with the highest loss, with images or without; images of all attempts, or of one."""
    worst = index.worst(session.id, limit=limit, attempt=attempt)
    names = session.config.class_names
    with_images = strips_of(index, worst, names, has_several=has_several)
    shown = {(strip.attempt, strip.epoch, strip.number) for strip in with_images}
    without = (
        _without_images(session.id, bin_, stretch.attempt if has_several else None)
        for stretch in stretches
        for bin_ in stretch.bins
    )
    others = [
        strip for strip in without if (strip.attempt, strip.epoch, strip.number) not in shown
    ]  # whichever of them has images has a lower loss than all that are shown
    worst_first = sorted((*with_images, *others), key=lambda strip: -_badness(strip.loss))
    return tuple(worst_first[:limit])


def _strip(
    index: ImageIndex, batch: ImageBatch, names: tuple[str, ...], attempt: int | None
) -> Strip:
    images = index.images(batch.session_id, batch.epoch, batch.batch, attempt=batch.attempt)
    wrong_first = sorted(images, key=lambda image: not image.is_wrong)[:MAX_TILES]
    tiles = tuple(
        Tile(
            image_link(batch.session_id, batch, image),
            f"predicted {class_name(image.predicted_class, names)}, "
            f"truth {class_name(image.true_class, names)}",
            image.is_wrong,
        )
        for image in wrong_first
    )
    link = batch_link(batch.session_id, batch.epoch, batch.batch, attempt)
    wrong = sum(image.is_wrong for image in images)
    return Strip(link, batch.epoch, batch.batch, batch.loss, batch.images, attempt, tiles, wrong)


def _without_images(session_id: str, bin_: Bin, attempt: int | None) -> Strip:
    loss = math.nan if bin_.nonfinite else bin_.high
    link = batch_link(session_id, bin_.epoch, bin_.batch, attempt)
    return Strip(link, bin_.epoch, bin_.batch, loss, 0, attempt)


def _badness(loss: float | None) -> float:
    return math.inf if loss is None or math.isnan(loss) else loss
