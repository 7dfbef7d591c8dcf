"""Converts a picture file in memory to a JPEG file that every browser shows."""

from io import BytesIO

try:  # an extra
    from PIL import Image, JpegImagePlugin, UnidentifiedImageError
except ImportError:  # pragma: no cover
    Image = None  # type: ignore[assignment]

from bridge.client.encoding.pictures import NO_PILLOW, jpeg_of_picture
from bridge.jpeg_file import END, end_of, frame_of, has_scan

START_OF_JPEG = b"\xff\xd8\xff"

GARBAGE_BYTES = 4_096
"""How many bytes may precede a JPEG in a file of no known format, if the JPEG is most of that file."""

CONTAINERS = (
    b"PK",
    b"%PDF",
    b"RIFF",
    b"Rar!",
    b"7z",
    b"\x1f\x8b",
    b"\x1aE\xdf\xa3",
    b"II",
    b"MM",
    b"8BPS",
)
"""Signatures of files that contain pictures among other things: archives, documents, videos, camera raw files."""

BOXES = b"ftyp"
"""The signature of HEIC, AVIF and MP4, at their fifth byte (ISO/IEC 14496-12, 4.3)."""

FORMATS = ("PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "ICO")
"""Formats that Pillow decodes itself. Some of its other readers start programs (EPS) or accept any bytes."""


def jpeg_of_file(data: bytes, dimension: int) -> bytes:
    """Return a JPEG file of at most `dimension` pixels a side.

    A JPEG that every browser shows is returned as it is, without what follows its end. Larger ones,
    CMYK, truncated ones and files of other formats are re-encoded, from their first frame.
    Raises ValueError, or what Pillow raises, where that is not possible.
    """
    if data.startswith(START_OF_JPEG):
        return _jpeg(data, dimension)
    picture = _opened(data)
    if picture is not None:
        with picture:
            return jpeg_of_picture(picture, dimension)
    embedded = _after_garbage(data)
    if embedded is not None:
        return _jpeg(embedded, dimension)
    if not data:
        raise ValueError("an empty file")
    kind = "JPEG" if Image is None else "picture"
    raise ValueError(f"{len(data)} bytes that are not a {kind} file: they begin with {data[:8]!r}")


def _after_garbage(data: bytes) -> bytes | None:
    """Return the JPEG in a file that begins with some other bytes; None where there is none.

    A thumbnail in a file of another format is not that file's picture.
    """
    start = data.find(START_OF_JPEG, 0, GARBAGE_BYTES)
    if start < 0 or data.startswith(CONTAINERS) or data.startswith(BOXES, 4):
        return None
    rest = data[start:]
    length = end_of(rest) or len(rest)
    return rest if 2 * length > len(data) else None


def _jpeg(data: bytes, dimension: int) -> bytes:
    frame = frame_of(data)
    if frame is None or 0 in (frame.height, frame.width):
        raise ValueError("a JPEG without a frame header that gives its size")
    end = end_of(data)
    is_small = max(frame.width, frame.height) <= dimension
    if end is not None and is_small and (frame.is_common or Image is None):
        return data[:end]
    if Image is None:
        fault = f"of {frame.width}x{frame.height} pixels" if end is not None else "without an end"
        raise ValueError(f"a JPEG {fault}; {NO_PILLOW}")
    if end is None:
        if not has_scan(data):
            raise ValueError("a JPEG that breaks off before its picture")
        data += END  # without it Pillow rejects what other decoders show
    with JpegImagePlugin.JpegImageFile(BytesIO(data)) as picture:  # for MPO, too: its first picture
        picture.draft(None, (2 * dimension, 2 * dimension))
        return jpeg_of_picture(picture, dimension)


def _opened(data: bytes) -> "Image.Image | None":
    if Image is None:
        return None
    try:
        return Image.open(BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        return None


_FORMATS = () if Image is None else tuple(name for name in FORMATS if name in Image.OPEN)
