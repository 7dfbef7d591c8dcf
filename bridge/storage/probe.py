"""Try an object store as the bridge uses it."""

import tempfile
from contextlib import suppress
from pathlib import Path

from bridge.errors import NotFoundError, StorageError
from bridge.storage.objects import ObjectStore

CONTENT = b"trainbridge checks whether it can store, read and list objects"

KEY = "connection-check"
"""One for all: where the account may not delete, which the bridge can do without, a single object remains."""

ATTEMPTS = 3
"""Another bridge may delete what this one is about to read."""


def probe_store(store: ObjectStore) -> None:
    """Store, read in part and list a small object; raises StorageError with what is wrong."""
    for attempt in range(1, ATTEMPTS + 1):
        _put(store)
        try:
            part = store.read(KEY, 1, 4)
            keys = [found.key for found in store.list(KEY)]
        except NotFoundError:
            part, keys = b"", []
        if part == CONTENT[1:5] and KEY in keys:
            break
        if attempt == ATTEMPTS:
            with suppress(StorageError):
                store.delete(KEY)
            raise _forgetful(part)
    with suppress(StorageError):
        store.delete(KEY)


def _put(store: ObjectStore) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        store.put(KEY, Path(file.name), {})


def _forgetful(part: bytes) -> StorageError:
    if not part:
        return StorageError("the store does not return what was stored a moment before")
    if part != CONTENT[1:5]:
        return StorageError(
            "the store returned something else than was stored: it must support ranged reads"
        )
    return StorageError("the store does not list what was stored: it must support listing")
