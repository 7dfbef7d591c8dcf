"""Turn JPEGs into the tiles of a contact sheet, at a bounded cost."""

import io
from threading import BoundedSemaphore
from typing import Any

TILE = 150

LARGEST_PIXELS = 4_096**2
"""Of one image; a larger one is not unpacked for a picture of 150 pixels. One of several scans is held whole
while it is unpacked, in six bytes a pixel."""

MOST_SCANS = 32
"""Of one image, the whole of which is gone through for each; encoders make ten of a progressive one."""

START_OF_SCAN = b"\xff\xda"

_unpacking = BoundedSemaphore(2)
"""However many sheets are drawn, so many images are unpacked at a time."""


def tile_of(jpeg: bytes) -> Any:
    """Return a picture as browsers show it, as large as fits into a tile, or None where it cannot be unpacked.

    Its own proportions are kept. What would cost much to unpack is not: an image costs itself at most.
    """
    from PIL import Image  # noqa: PLC0415 -- an extra that may be absent

    try:
        with _unpacking, Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
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
    return image.width * image.height <= LARGEST_PIXELS and jpeg.count(START_OF_SCAN) <= MOST_SCANS


def _upright(tile: Any) -> Any:
    """Turn a picture as its EXIF orientation says; a damaged one is ignored."""
    from PIL import ImageOps  # noqa: PLC0415 -- an extra that may be absent

    try:
        return ImageOps.exif_transpose(tile)
    except Exception:  # noqa: BLE001 -- as above
        return tile
