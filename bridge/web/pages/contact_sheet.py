"""Draw the images of one batch as a single picture, for panels that show only one."""

import io
from hashlib import sha256

from aiohttp import web

from bridge.errors import NotFoundError, StorageError
from bridge.storage.index import ImageBatch, ImageIndex, IndexedImage
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.formatting import class_name, number, percent
from bridge.web.pages.image_selection import Selection, find_batch, given_parameters, read_selection
from bridge.web.pages.images import ASK_AGAIN, NO_IMAGE, picture
from bridge.web.pages.tiles import TILE, tile_of
from bridge.web.request_params import session_of

COLUMNS = 4

MOST_TILES = 16

GAP = 6

TEXT_HEIGHT = 18

HEAD_HEIGHT = 26

UNREADABLE = "no picture"

PAPER, INK, RIGHT, WRONG, NEUTRAL = "#ffffff", "#1b1f24", "#1d7a46", "#c62828", "#8a8f98"

BESIDE, GREY = "#eceef1", "#c4c8ce"
"""The background of a picture that is not square, and the tile of one that cannot be shown."""


async def contact_sheet(request: web.Request) -> web.Response:
    """Answer with a contact sheet, or a grey picture that says there is none; always status 200."""
    deps = deps_of(request)
    try:
        session = await session_of(request)
    except NotFoundError:
        return picture(NO_IMAGE, ASK_AGAIN, "")
    session_id, names = session.id, session.config.class_names
    selection, _ = read_selection(given_parameters(request.query), names)

    def draw() -> bytes:
        return _draw(deps, session_id, selection, names) or NO_IMAGE

    try:
        body = await deps.image_threads.run(draw)
    except StorageError:  # too many wait for the store already
        body = NO_IMAGE
    return picture(body, ASK_AGAIN, sha256(body).hexdigest()[:16])


def _draw(
    deps: AppDependencies, session_id: str, selection: Selection, names: tuple[str, ...]
) -> bytes | None:
    try:
        batch = find_batch(deps.index, session_id, selection)
        images = _chosen(deps.index, batch)
        if batch is None or not images:
            return None
        return _sheet(deps, batch, images, names)
    except (StorageError, NotFoundError) as error:
        deps.telemetry.storage_failed("contact sheet", error)
    except ModuleNotFoundError:
        deps.telemetry.event("no contact sheets: install trainbridge[images]")
    return None


def _chosen(index: ImageIndex, batch: ImageBatch | None) -> list[IndexedImage]:
    if batch is None:
        return []
    return index.images(batch.session_id, batch.epoch, batch.batch)[:MOST_TILES]


def _sheet(
    deps: AppDependencies, batch: ImageBatch, images: list[IndexedImage], names: tuple[str, ...]
) -> bytes:
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 -- an extra that may be absent

    rows = -(-len(images) // COLUMNS)
    width = COLUMNS * (TILE + GAP) + GAP
    paper = Image.new("RGB", (width, HEAD_HEIGHT + rows * (TILE + TEXT_HEIGHT + GAP) + GAP), PAPER)
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(13)
    loss = "not reported" if batch.loss is None else number(batch.loss)
    head = f"epoch {batch.epoch}, batch {batch.batch}, loss {loss}"
    pen.text((GAP, 6), head, INK, font=font)
    for place, image in enumerate(images):
        left = GAP + place % COLUMNS * (TILE + GAP)
        top = HEAD_HEIGHT + place // COLUMNS * (TILE + TEXT_HEIGHT + GAP)
        tile = tile_of(deps.read_image(image.location))
        colour, text = label_of(image, names)
        box = (left, top, left + TILE - 1, top + TILE - 1)
        pen.rectangle(box, BESIDE if tile is not None else GREY)
        if tile is None:
            pen.text((left + TILE // 2, top + TILE // 2), UNREADABLE, INK, anchor="mm", font=font)
        else:
            paper.paste(tile, (left + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2))
        width_of_frame = 3 if image.is_wrong else 1
        pen.rectangle(box, outline=colour, width=width_of_frame)
        pen.text((left + 2, top + TILE + 2), text, colour, font=font)
    buffer = io.BytesIO()
    paper.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def label_of(image: IndexedImage, names: tuple[str, ...]) -> tuple[str, str]:
    """Return the colour and the text below an image."""
    predicted = class_name(image.predicted_class, names)[:9]
    truth = class_name(image.true_class, names)[:9]
    if image.confidence is not None:
        predicted = f"{predicted} {percent(image.confidence)}"
    if image.is_wrong:
        return WRONG, f"x {predicted}, is {truth}"
    known = image.predicted_class is not None and image.true_class is not None
    return (RIGHT if known else NEUTRAL), predicted
