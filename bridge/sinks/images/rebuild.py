"""Read the image index of a new database from the shards in the object store."""

import asyncio
from collections.abc import Callable
from functools import partial

from bridge.errors import NotFoundError, StorageError
from bridge.sinks.images.breaker import pause_seconds
from bridge.sinks.images.recovery import batches_of
from bridge.sinks.images.shard import TAIL_BYTES, parse_trailer
from bridge.sinks.images.steps import Adopt
from bridge.storage.objects import ObjectStore, StoredObject
from bridge.telemetry import Telemetry
from bridge.threads import in_thread

GUESS_BYTES = 256 << 10
"""Read from the end of a shard at first; most indexes fit."""

REPORT_SHARDS = 1_000


async def rebuild(
    store: ObjectStore,
    *,
    is_known: Callable[[str], bool],
    adopt: Callable[[Adopt], None],
    telemetry: Telemetry,
) -> None:
    """Call `adopt` for each shard in the store whose key is not known; waits for a store that is down."""
    objects = await _listed(store, telemetry)
    read = unreadable = 0
    for found in objects:
        if is_known(found.key):
            continue
        step = await in_thread(partial(_step, store, found), name="rebuild")
        if step is None:
            unreadable += 1
            continue
        adopt(step)
        read += 1
        if read % REPORT_SHARDS == 0:
            telemetry.note("reading the image index from the store", shards=read, of=len(objects))
    if objects:
        telemetry.note("read the image index from the store", shards=read, unreadable=unreadable)


async def _listed(store: ObjectStore, telemetry: Telemetry) -> list[StoredObject]:
    failures = 0
    while True:
        try:
            objects = await in_thread(lambda: list(store.list()), name="rebuild")
        except StorageError as error:
            telemetry.note("cannot list the store, to rebuild the image index", error=str(error))
            await asyncio.sleep(1 + pause_seconds(failures))
            failures += 1
        else:
            return [found for found in objects if found.key.endswith(".tar")]


def _step(store: ObjectStore, found: StoredObject) -> Adopt | None:
    try:
        index = _index(store, found)
        session_id = found.key.partition("/")[0]
        if index is None:
            return None
        return Adopt(found.key, found.size_bytes, batches_of(index, session_id))
    except (StorageError, NotFoundError, ValueError):
        return None


def _index(store: ObjectStore, found: StoredObject) -> bytes | None:
    start = max(0, found.size_bytes - GUESS_BYTES)
    tail = store.read(found.key, start, found.size_bytes - start)
    trailer = parse_trailer(tail) if len(tail) >= TAIL_BYTES else None
    if trailer is None:
        return None
    if trailer.index_offset < start:
        return store.read(found.key, trailer.index_offset, trailer.index_length)
    begin = trailer.index_offset - start
    return tail[begin : begin + trailer.index_length]
