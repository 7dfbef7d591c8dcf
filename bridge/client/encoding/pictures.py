"""Encodes Pillow images of any mode as JPEG files."""

from io import BytesIO
from typing import Any

try:  # an extra
    from PIL import Image
except ImportError:  # pragma: no cover
    Image = None  # type: ignore[assignment]
try:
    import numpy as np
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]

from bridge.client.encoding.isolation import let_through
from bridge.client.encoding.pixels import Pixels, levels_of

QUALITY = 90

MAX_PIXELS = 89_478_485
"""Above this Pillow warns of a decompression bomb (PIL.Image.MAX_IMAGE_PIXELS)."""

ORIENTATION = 0x0112
"""The EXIF tag of the camera's orientation (Exif 2.32, 4.6.4)."""

SIXTEEN_BIT_FORMATS = frozenset({"PNG", "PPM"})
"""Formats whose 16-bit pictures older versions of Pillow open in mode I."""

NO_PILLOW = "making JPEGs needs Pillow: run `pip install '.[images]'` in a checkout of trainbridge"


def jpeg_of_picture(picture: "Image.Image", dimension: int) -> bytes:
    """Return a picture as a JPEG file, grey or RGB, with at most `dimension` pixels a side.

    Accepts all of Pillow's modes; transparent pixels are shown on white, and the EXIF orientation is
    applied. The picture itself is not modified. Raises ValueError where it has too many pixels.
    """
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"a picture of {width}x{height} pixels; at most {MAX_PIXELS:,} are read")
    picture.load()  # here Pillow rotates a TIFF, and only then resets its orientation
    shown = _shrunk(_grey_or_rgb(picture), dimension)
    transposition = _TRANSPOSITIONS.get(_orientation_of(picture))
    if transposition is not None:
        shown = shown.transpose(transposition)
    file = BytesIO()
    shown.save(file, "JPEG", quality=QUALITY, comment=b"")
    return file.getvalue()


def copied_picture(picture: "Image.Image") -> "Image.Image":
    """Return a copy in memory that looks the same when encoded.

    Pillow's own copies lack what is needed besides pixels and `info`: the format, and an orientation
    that was set on the object rather than read from its file.
    """
    copied = picture.copy()
    copied.format = picture.format
    orientation = _orientation_of(picture)
    if orientation != _orientation_of(copied):
        copied.getexif()[ORIENTATION] = orientation
    return copied


def jpeg_of_pixels(pixels: Pixels, dimension: int) -> bytes:
    """Return bytes (H,W) or (H,W,3) as a JPEG file."""
    if Image is None:
        raise ValueError(NO_PILLOW)
    return jpeg_of_picture(Image.fromarray(np.ascontiguousarray(pixels)), dimension)


def _grey_or_rgb(picture: "Image.Image") -> "Image.Image":
    """Return a picture in mode L or RGB."""
    mode = picture.mode
    if mode.startswith("I;16") or (mode == "I" and picture.format in SIXTEEN_BIT_FORMATS):
        return _from_sixteen_bits(picture)
    if mode in ("I", "F"):
        if np is None:
            raise ValueError(f"a picture of mode {mode} needs NumPy")
        return Image.fromarray(levels_of(np.asarray(picture)))
    if _has_transparency(picture):
        return _on_white(picture)
    if mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if mode == "1" else "RGB")


def _has_transparency(picture: "Image.Image") -> bool:
    """Return whether pixels may be transparent: by a channel, a marked colour, or the palette's own alpha."""
    if "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return True
    return picture.mode == "P" and picture.palette is not None and "A" in picture.palette.mode


def _from_sixteen_bits(picture: "Image.Image") -> "Image.Image":
    """Scale 65535 to 255; Pillow's own conversion from 16 bits to 8 clips above 255."""
    return picture.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")


def _on_white(picture: "Image.Image") -> "Image.Image":
    if picture.mode == "La":  # which Pillow converts to LA only
        picture = picture.convert("LA")
    layers = picture.convert("RGBA")
    white = Image.new("RGBA", layers.size, "white")
    return Image.alpha_composite(white, layers).convert("RGB")


def _shrunk(picture: "Image.Image", dimension: int) -> "Image.Image":
    longest = max(picture.size)
    if longest <= dimension:
        return picture
    width, height = (max(1, round(side * dimension / longest)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _orientation_of(picture: "Image.Image") -> Any:
    try:
        orientation = picture.getexif().get(ORIENTATION)
    except Exception as error:  # noqa: BLE001 -- a picture with damaged EXIF data is still shown
        let_through(error)
        return None
    return orientation if isinstance(orientation, int) else None


_TRANSPOSITIONS: dict[Any, Any] = {}
if Image is not None:
    # Now rather than with the first picture: what Pillow loads then calls eval(), and an eval() while the
    # interpreter exits makes a program that Ctrl-C has ended exit with status 1 instead of by the signal.
    Image.init()
    _TRANSPOSITIONS = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
"""By the value of the EXIF tag; for 1 and any other value the picture stays as it is."""
