"""Try an object store as the bridge uses it."""

import secrets
import tempfile
from pathlib import Path

from bridge.errors import StorageError
from bridge.storage.objects import ObjectStore

CONTENT = b"trainbridge checks whether it can store, read, list and delete objects"
PREFIX = "connection-check-"
"""What the keys of probe objects begin with."""


def probe_store(store: ObjectStore) -> None:
    """Store, read in part, list and delete a small object; raises StorageError with what is wrong."""
    key = f"{PREFIX}{secrets.token_hex(8)}"
    with tempfile.NamedTemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        store.put(key, Path(file.name), {})
    try:
        if store.read(key, 1, 4) != CONTENT[1:5]:
            raise StorageError(
                "the store returned something else than was stored: it must support ranged reads"
            )
        if [found.key for found in store.list(key)] != [key]:
            raise StorageError("the store does not list what was stored: it must support listing")
    finally:
        store.delete(key)
