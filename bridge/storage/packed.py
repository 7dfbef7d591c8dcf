"""Plain values as bytes: what the database keeps of messages and sessions."""

from typing import Any

import msgpack  # type: ignore[import-untyped]

from bridge.errors import StorageError


def packed(value: object) -> bytes:
    """Return None, numbers, texts, bytes, lists, tuples and dictionaries of them as MessagePack.

    Not-a-number and infinities survive; tuples come back as lists.
    """
    data: bytes = msgpack.packb(value)
    return data


def unpacked(data: bytes) -> Any:
    """Return what was packed; raises StorageError for bytes that never were."""
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StorageError(f"a damaged value in the database: {error!r}") from error
