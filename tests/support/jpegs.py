"""Small JPEGs for tests."""

import io
from functools import cache

from PIL import Image


@cache
def jpeg(width: int = 16, height: int = 16, shade: int = 128) -> bytes:
    """Return a real JPEG file of one grey."""
    buffer = io.BytesIO()
    Image.new("L", (width, height), shade).save(buffer, "JPEG")
    return buffer.getvalue()


def large_jpeg(size_bytes: int) -> bytes:
    """Return a JPEG file with a comment of about this size (ITU-T T.81, B.2.4.5)."""
    file, comments = jpeg(), b""
    while len(file) + len(comments) < size_bytes:
        room = min(65_533, size_bytes - len(file) - len(comments))
        comments += b"\xff\xfe" + (room + 2).to_bytes(2, "big") + bytes(room)
    return file[:2] + comments + file[2:]


@cache
def png() -> bytes:
    """Return a real picture that is not a JPEG."""
    buffer = io.BytesIO()
    Image.new("L", (16, 16), 128).save(buffer, "PNG")
    return buffer.getvalue()
