"""Plain values as bytes: what the database keeps of messages and sessions."""

from typing import Any

import msgpack  # type: ignore[import-untyped]

from bridge.errors import StorageError

SURROGATES = "surrogatepass"
"""A text may be of any making; one that is no valid Unicode must not stop a commit."""


def packed(value: object) -> bytes:
    """Return None, numbers, texts, bytes, lists, tuples and dictionaries of them as MessagePack.

    Not-a-number and infinities survive; tuples come back as lists. Raises ValueError for anything else.
    """
    try:
        data: bytes = msgpack.packb(value, unicode_errors=SURROGATES)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"not a plain value: {error}") from error
    return data


def unpacked(data: bytes) -> Any:
    """Return what was packed; raises StorageError for bytes that never were."""
    try:
        return msgpack.unpackb(data, strict_map_key=False, unicode_errors=SURROGATES)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StorageError(f"a damaged value in the database: {error!r}") from error
