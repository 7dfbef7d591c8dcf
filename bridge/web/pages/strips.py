"""Batches as strips of a few of their images, wrong ones first."""

from collections.abc import Iterable
from dataclasses import dataclass

from bridge.storage.index import ImageBatch, ImageIndex
from bridge.web.formatting import class_name
from bridge.web.links import batch_link, image_link

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
    batch: ImageBatch
    tiles: tuple[Tile, ...]
    wrong: int


def strips_of(
    index: ImageIndex, batches: Iterable[ImageBatch], names: tuple[str, ...]
) -> tuple[Strip, ...]:
    """Return a strip for each batch."""
    return tuple(_strip(index, batch, names) for batch in batches)


def _strip(index: ImageIndex, batch: ImageBatch, names: tuple[str, ...]) -> Strip:
    images = index.images(batch.session_id, batch.epoch, batch.batch)
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
    link = batch_link(batch.session_id, batch.epoch, batch.batch)
    return Strip(link, batch, tiles, wrong=sum(image.is_wrong for image in images))
