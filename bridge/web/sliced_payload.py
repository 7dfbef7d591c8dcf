"""A body that is handed to the network piece by piece, so that a slow reader holds no copy of its own."""

from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter

SLICE_BYTES = 64 * 1024
"""Smaller bodies are written at once."""


class SlicedPayload(payload.Payload):
    """A body that is written no faster than it is read."""

    _value: bytes

    def __init__(self, body: bytes, content_type: str) -> None:
        """Send a whole body."""
        super().__init__(body, content_type=content_type)
        self._size = len(body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write slices, and wait after each until there is room for the next."""
        view = memoryview(self._value)
        for start in range(0, len(view), SLICE_BYTES):
            await writer.write(view[start : start + SLICE_BYTES])
