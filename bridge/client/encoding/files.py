"""From a ready picture file in memory to a JPEG file that every browser shows."""

from io import BytesIO

try:  # an extra
    from PIL import Image, JpegImagePlugin, UnidentifiedImageError
except ImportError:  # pragma: no cover
    Image = None  # type: ignore[assignment]

from bridge.client.encoding.pictures import NO_PILLOW, jpeg_of_picture
from bridge.jpeg_file import END, end_of, frame_of, has_scan

START_OF_JPEG = b"\xff\xd8\xff"

GARBAGE_BYTES = 4_096
"""A JPEG may begin so far behind the begin of a file of no known kind, if it is most of that file."""

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
"""Begins of files that hold pictures among other things: an archive, a document, a film, a camera's raw file."""

BOXES = b"ftyp"
"""Stands at the fifth byte of HEIC, AVIF and MP4 (ISO/IEC 14496-12, 4.3)."""

FORMATS = ("PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "ICO")
"""What Pillow reads by itself. Some of its other readers start programs (EPS) or take any bytes."""


def jpeg_of_file(data: bytes, dimension: int) -> bytes:
    """Return a JPEG file of at most `dimension` pixels a side.

    A JPEG that every browser shows is returned as it is, without what lies behind its end. Larger
    ones, CMYK, one that breaks off and files of other kinds are encoded anew, their first frame.
    Raises ValueError, or what Pillow raises, where that is not possible.
    """
    if data.startswith(START_OF_JPEG):
        return _jpeg(data, dimension)
    picture = _opened(data)
    if picture is not None:
        with picture:
            return jpeg_of_picture(picture, dimension)
    hidden = _behind_garbage(data)
    if hidden is not None:
        return _jpeg(hidden, dimension)
    if not data:
        raise ValueError("an empty file")
    kind = "JPEG" if Image is None else "picture"
    raise ValueError(f"{len(data)} bytes that are not a {kind} file: they begin with {data[:8]!r}")


def _behind_garbage(data: bytes) -> bytes | None:
    """Return the JPEG that a file is, apart from some bytes in front of it; None where it is none.

    A thumbnail in a file of another kind is not that file's picture.
    """
    begin = data.find(START_OF_JPEG, 0, GARBAGE_BYTES)
    if begin < 0 or data.startswith(CONTAINERS) or data.startswith(BOXES, 4):
        return None
    found = data[begin:]
    length = end_of(found) or len(found)
    return found if 2 * length > len(data) else None


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
        data += END  # without which Pillow refuses what other decoders show
    with JpegImagePlugin.JpegImageFile(BytesIO(data)) as picture:  # also of a file of several
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
