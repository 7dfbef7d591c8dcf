"""Packs plain values into bytes, as the database holds messages and sessions."""

import zlib
from typing import Any

import msgpack  # type: ignore[import-untyped]

from bridge.errors import StorageError

CHECKSUM = "checksum"
"""The last key of a sealed dictionary: its value is the CRC-32 of all bytes before it."""

CHECKSUM_BYTES = 4

SMALLEST, LARGEST = -(1 << 63), (1 << 64) - 1
"""Of the whole numbers that MessagePack holds."""

SURROGATES = "surrogatepass"
"""A text may hold anything; one that is not valid Unicode must not stop a commit."""


def packed(value: object) -> bytes:
    """Return None, numbers, texts, bytes, lists, tuples and dictionaries of them as MessagePack.

    Not-a-number and infinities survive; tuples come back as lists, and a number that has grown out of 64 bits
    as the last one that fits: a sum of what clients report must not stop a commit. Raises ValueError for any
    other value.
    """
    try:
        data: bytes = msgpack.packb(value, unicode_errors=SURROGATES, default=_fitting)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"not a plain value: {error}") from error
    return data


def _fitting(value: object) -> int:
    """Return the nearest number that 64 bits hold; raises TypeError for what is none."""
    if not isinstance(value, int):
        raise TypeError(f"a {type(value).__name__}")
    return min(max(value, SMALLEST), LARGEST)


def unpacked(data: bytes) -> Any:
    """Return the value that was packed; raises StorageError for bytes that are damaged."""
    try:
        return msgpack.unpackb(data, strict_map_key=False, unicode_errors=SURROGATES)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        # Not its text, which may hold all that could be read.
        raise StorageError(f"a damaged value in the database ({type(error).__name__})") from None


def sealed(value: dict[str, Any]) -> bytes:
    """Return a dictionary as `packed` does, with a checksum that `unsealed` verifies."""
    data = packed({**value, CHECKSUM: 0xFFFFFFFF})[:-CHECKSUM_BYTES]
    return data + zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big")


def unsealed(data: bytes) -> Any:
    """Return the value that was sealed; raises StorageError where the checksum does not match.

    A value packed without a checksum, as older versions did, is returned unverified.
    """
    value = unpacked(data)
    if not isinstance(value, dict) or next(reversed(value), None) != CHECKSUM:
        return value
    if value.pop(CHECKSUM) != zlib.crc32(data[:-CHECKSUM_BYTES]):
        raise StorageError("a damaged value in the database (its checksum does not match)")
    return value
