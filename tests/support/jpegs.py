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


@cache
def png() -> bytes:
    """Return a real picture that is not a JPEG."""
    buffer = io.BytesIO()
    Image.new("L", (16, 16), 128).save(buffer, "PNG")
    return buffer.getvalue()
