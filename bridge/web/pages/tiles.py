"""Decode JPEGs into the tiles of a contact sheet, at a bounded cost."""

import io
from threading import BoundedSemaphore
from typing import Any

TILE = 150

MAX_PIXELS = 4_096**2
"""A larger image is not decoded for a tile of 150 pixels. While it is decoded, a progressive one is held in full,
at six bytes a pixel."""

MAX_SCANS = 32
"""Each scan goes over the whole image; encoders write about ten into a progressive one."""

START_OF_SCAN = b"\xff\xda"

_decoding = BoundedSemaphore(2)
"""However many sheets are drawn, only so many images are decoded at a time."""


def tile_of(jpeg: bytes) -> Any:
    """Return an image upright and scaled to fit a tile, or None where it cannot be decoded or would cost too much.

    Its proportions are kept.
    """
    from PIL import Image  # noqa: PLC0415 -- an extra that may be absent

    try:
        with _decoding, Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            if not _is_cheap(image, jpeg):
                return None
            longest = max(image.size)
            width, height = (max(1, round(side * TILE / longest)) for side in image.size)
            size = (width, height)
            image.draft("RGB", size)
            return _upright(image.convert("RGB").resize(size))
    except Exception:  # noqa: BLE001 -- decoders raise whatever a broken file leads them to
        return None


def _is_cheap(image: Any, jpeg: bytes) -> bool:
    return image.width * image.height <= MAX_PIXELS and jpeg.count(START_OF_SCAN) <= MAX_SCANS


def _upright(tile: Any) -> Any:
    """Return a tile turned by its EXIF orientation; a damaged one is ignored."""
    from PIL import ImageOps  # noqa: PLC0415 -- an extra that may be absent

    try:
        return ImageOps.exif_transpose(tile)
    except Exception:  # noqa: BLE001 -- as above
        return tile
