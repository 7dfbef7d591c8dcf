"""Read the index of a shard in the object store from its tail, without the images before it."""

from dataclasses import dataclass

from bridge.errors import NotFoundError
from bridge.sinks.images.shards.index_lines import ReadIndex, read_index
from bridge.sinks.images.shards.layout import TAIL_BYTES, Trailer, parse_trailer
from bridge.storage.objects import KEY, ObjectStore, StoredObject

GUESS_BYTES = 256 << 10
"""Read from the end of a shard at first; most indexes fit."""

MOST_BYTES = 32 << 20
"""Of an index: a shard of 16 MiB has a smaller one even where its images are of a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The index of a shard, as it was read."""

    key: str
    index: bytes
    end: int
    """Where the images of the shard end."""

    def parsed(self) -> ReadIndex | None:
        """Return what the index says; None where an object is not a shard after all."""
        try:
            return read_index(self.index, self.key, end=self.end)
        except Exception:  # noqa: BLE001 -- an object may hold anything; it costs itself
            return None


def fetch_tail(store: ObjectStore, found: StoredObject) -> Tail | None:
    """Return the index of a shard; None for an object that is not one.

    Raises NotFoundError where it is gone meanwhile, StorageError when the store does not answer.
    """
    if not KEY.fullmatch(found.key):
        return None
    start = max(0, found.size_bytes - GUESS_BYTES)
    bytes_read = store.read(found.key, start, found.size_bytes - start)
    trailer = parse_trailer(bytes_read) if len(bytes_read) >= TAIL_BYTES else None
    if trailer is None or not _is_sound(trailer, found.size_bytes):
        return None
    if trailer.index_offset < start:
        index = store.read(found.key, trailer.index_offset, trailer.index_length)
    else:
        begin = trailer.index_offset - start
        index = bytes_read[begin : begin + trailer.index_length]
    return Tail(found.key, index, trailer.index_offset)


def read_tail(store: ObjectStore, found: StoredObject) -> ReadIndex | None:
    """Return what the index of a shard says, as `fetch_tail` reads it; None also where it is gone meanwhile."""
    try:
        tail = fetch_tail(store, found)
    except NotFoundError:
        return None
    return None if tail is None else tail.parsed()


def _is_sound(trailer: Trailer, size_bytes: int) -> bool:
    return trailer.fits(size_bytes) and trailer.index_length <= MOST_BYTES
