"""The protocol of object stores."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bridge.errors import StorageError

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
"""No segment is empty or begins with a dot, so that a key stays inside every folder and bucket."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object that a store holds."""

    key: str
    size_bytes: int


class ObjectStore(Protocol):
    """Keeps immutable objects by key; every method blocks, and may be called from any thread.

    All raise StorageError when the store failed and a retry may help.
    """

    def put(self, key: str, file: Path, metadata: Mapping[str, str]) -> None:
        """Store a whole file, atomically and durably; the same key again overwrites.

        Raises FileNotFoundError when there is no such file.
        """

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Return part of an object; raises NotFoundError when there is no such object."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose key begins with `prefix`."""

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is ignored."""


def checked_key(key: str) -> str:
    """Return the key; raises StorageError for one that could lead out of the store."""
    if not KEY.fullmatch(key):
        raise StorageError(f"not a key: {key!r}")
    return key
