"""Read the index of a shard in the object store from its tail, without the images before it."""

from bridge.errors import NotFoundError, StorageError
from bridge.sinks.images.shards.index_lines import ReadIndex, read_index
from bridge.sinks.images.shards.layout import TAIL_BYTES, Trailer, parse_trailer
from bridge.storage.objects import KEY, ObjectStore, StoredObject

GUESS_BYTES = 256 << 10
"""Read from the end of a shard at first; most indexes fit."""

MOST_BYTES = 32 << 20
"""Of an index: a shard of 16 MiB has a smaller one even where its images are of a few hundred bytes."""


def read_tail(store: ObjectStore, found: StoredObject) -> ReadIndex | None:
    """Return what the index of a shard says; None for an object that is not a shard, or is gone meanwhile.

    Raises StorageError when the store does not answer.
    """
    if not KEY.fullmatch(found.key):
        return None
    try:
        trailer, index = _read(store, found)
        if trailer is None:
            return None
        return read_index(index, found.key, end=trailer.index_offset)
    except NotFoundError:
        return None
    except StorageError:
        raise
    except Exception:  # noqa: BLE001 -- an object may hold anything; it costs itself
        return None


def _read(store: ObjectStore, found: StoredObject) -> tuple[Trailer | None, bytes]:
    start = max(0, found.size_bytes - GUESS_BYTES)
    tail = store.read(found.key, start, found.size_bytes - start)
    trailer = parse_trailer(tail) if len(tail) >= TAIL_BYTES else None
    if trailer is None or not trailer.fits(found.size_bytes) or trailer.index_length > MOST_BYTES:
        return None, b""
    if trailer.index_offset < start:
        return trailer, store.read(found.key, trailer.index_offset, trailer.index_length)
    begin = trailer.index_offset - start
    return trailer, tail[begin : begin + trailer.index_length]
