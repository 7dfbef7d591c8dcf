"""The images of a batch in a single picture, for dashboard panels."""

import io
import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any

from aiohttp import web

from bridge.errors import (
    ImageAwayError,
    ImageLostError,
    LimitError,
    NotFoundError,
    OverloadedError,
    StorageError,
)
from bridge.storage.index import ImageBatch, ImageIndex, IndexedImage
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.formatting import class_name, number, percent
from bridge.web.pages.batch_lookup import find_batch
from bridge.web.pages.image_selection import (
    Selection,
    read_selection,
    usable_parameters,
)
from bridge.web.pages.images import NO_IMAGE, REVALIDATE, jpeg_response
from bridge.web.pages.tile_worker import TILE
from bridge.web.session_images import session_images
from bridge.web.session_view import SessionView, session_view

COLUMNS = 4
MAX_TILES = 16
GAP = 6
LABEL_HEIGHT = 18
HEADER_HEIGHT = 26
LABEL_LENGTH = 9

UNREADABLE, AWAY, LOST = "unreadable", "bridge away", "lost"
"""What tiles say that show no image."""

PAPER, INK, RIGHT, WRONG, NEUTRAL = "#ffffff", "#1b1f24", "#1d7a46", "#c62828", "#8a8f98"
BACKDROP, MISSING = "#eceef1", "#c4c8ce"
"""The background of a tile that is not square, and of one that cannot be decoded."""


async def contact_sheet(request: web.Request) -> web.Response:
    """Return a contact sheet or a placeholder, always with status 200, so that panels show no broken image."""
    deps = deps_of(request)
    try:
        images = await session_images(request)
    except (NotFoundError, StorageError, OverloadedError, LimitError):
        return jpeg_response(NO_IMAGE, REVALIDATE)
    view = session_view(images.session, time.time())
    selection, _ = read_selection(usable_parameters(request.query), view.config.class_names)

    def draw() -> bytes:
        return _sheet_of(deps, images.index, view, selection) or NO_IMAGE

    try:
        body = await deps.image_threads.run(draw)
    except StorageError:  # too many calls are waiting for the store already
        body = NO_IMAGE
    return jpeg_response(body, REVALIDATE, sha256(body).hexdigest()[:16])


def _sheet_of(
    deps: AppDependencies, index: ImageIndex, session: SessionView, selection: Selection
) -> bytes | None:
    try:
        batch = find_batch(index, session.id, selection)
        images = _images_of(index, batch)
        if batch is None or not images:
            return None
        tiles = (_tile_of(deps, image) for image in images)
        header = header_of(batch, selection.place, session.place_text)
        return _draw(header, images, tiles, session.config.class_names)
    except (StorageError, NotFoundError) as error:
        deps.telemetry.storage_failed("contact sheet", error)
    except ModuleNotFoundError:
        deps.telemetry.event("no contact sheets: install trainbridge[images]")
    return None


def _tile_of(deps: AppDependencies, image: IndexedImage) -> Any:
    """Return the tile of an image; a text where another bridge has it, or it cannot be decoded or would cost too much."""
    try:
        jpeg = deps.read_image(image.location)
    except ImageAwayError:
        return AWAY
    except ImageLostError:
        return LOST
    tile = deps.tiles.tile_of(jpeg)
    if isinstance(tile, str):
        deps.telemetry.tile_refused(tile)
        return UNREADABLE
    return tile


def _images_of(index: ImageIndex, batch: ImageBatch | None) -> list[IndexedImage]:
    if batch is None:
        return []
    return index.images(batch.session_id, batch.epoch, batch.batch, attempt=batch.attempt)[
        :MAX_TILES
    ]


def _draw(
    header: str, images: Sequence[IndexedImage], tiles: Iterable[Any], names: tuple[str, ...]
) -> bytes:
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 -- an extra that may be absent

    rows = -(-len(images) // COLUMNS)
    width = COLUMNS * (TILE + GAP) + GAP
    height = HEADER_HEIGHT + rows * (TILE + LABEL_HEIGHT + GAP) + GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.font = ImageFont.load_default(13)
    pen.text((GAP, 6), header, INK)
    for position, (image, tile) in enumerate(zip(images, tiles, strict=True)):
        left = GAP + position % COLUMNS * (TILE + GAP)
        top = HEADER_HEIGHT + position // COLUMNS * (TILE + LABEL_HEIGHT + GAP)
        _draw_tile(sheet, pen, (left, top), tile)
        colour, label = label_of(image, names)
        box = (left, top, left + TILE - 1, top + TILE - 1)
        pen.rectangle(box, outline=colour, width=3 if image.is_wrong else 1)
        pen.text((left + 2, top + TILE + 2), label, colour)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _draw_tile(sheet: Any, pen: Any, corner: tuple[int, int], tile: Any) -> None:
    left, top = corner
    background = MISSING if isinstance(tile, str) else BACKDROP
    pen.rectangle((left, top, left + TILE - 1, top + TILE - 1), background)
    if isinstance(tile, str):
        pen.text((left + TILE // 2, top + TILE // 2), tile, INK, anchor="mm")
    else:
        sheet.paste(tile, (left + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2))


def header_of(
    batch: ImageBatch,
    instead_of: tuple[int, int] | None,
    place_text: Callable[[int, int], str],
) -> str:
    """Return the line above the images, which says where they are not of the batch that was asked for."""
    loss = "not reported" if batch.loss is None else number(batch.loss)
    text = f"{place_text(batch.epoch, batch.batch)}, loss {loss}"
    if instead_of in (None, (batch.epoch, batch.batch)):
        return text
    return f"no images of {place_text(*instead_of)}; nearest: {text}"


def label_of(image: IndexedImage, names: tuple[str, ...]) -> tuple[str, str]:
    """Return the colour and the text of the label below an image."""
    predicted = class_name(image.predicted_class, names)[:LABEL_LENGTH]
    truth = class_name(image.true_class, names)[:LABEL_LENGTH]
    if image.confidence is not None:
        predicted = f"{predicted} {percent(image.confidence)}"
    if image.is_wrong:
        return WRONG, f"x {predicted}, is {truth}"
    is_judged = image.predicted_class is not None and image.true_class is not None
    return (RIGHT if is_judged else NEUTRAL), predicted
