"""Rebuild the image index of a new database from the shards in the object store."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from bridge.backoff import backoff_seconds
from bridge.errors import StorageError
from bridge.sinks.images.shards.operations import AdoptShard
from bridge.sinks.images.shards.tails import read_tail
from bridge.storage.objects import KEY, ObjectStore, StoredObject
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

REPORT_SHARDS = 1_000


async def rebuild_index(
    store: ObjectStore,
    objects: Sequence[StoredObject],
    *,
    is_known: Callable[[str], bool],
    adopt: Callable[[AdoptShard], None],
    telemetry: Telemetry,
) -> None:
    """Call `adopt` for each of the shards in the store whose key is not known.

    What is not a shard, and index lines of images that a shard does not have, are counted and left out.
    """
    read = unreadable = 0
    for found in objects:
        if KEY.fullmatch(found.key) and is_known(found.key):
            continue
        operation, damaged = await run_in_daemon_thread(
            partial(_read_shard, store, found), name="rebuild"
        )
        if damaged:
            telemetry.dropped("index_line", "damaged", damaged)
        if operation is None:
            telemetry.dropped("shard", "unreadable")
            unreadable += 1
            continue
        adopt(operation)
        read += 1
        if read % REPORT_SHARDS == 0:
            telemetry.event("reading the image index from the store", shards=read, of=len(objects))
    if objects:
        telemetry.event("read the image index from the store", shards=read, unreadable=unreadable)


async def list_shards(store: ObjectStore, telemetry: Telemetry) -> list[StoredObject]:
    """Return what may be shards in the store; waits for a store that is down."""
    failures = 0
    while True:
        try:
            objects = await run_in_daemon_thread(lambda: list(store.list()), name="rebuild")
        except StorageError as error:
            telemetry.storage_failed("reading the image index from the store", error)
            await asyncio.sleep(1 + backoff_seconds(failures))
            failures += 1
        else:
            return [found for found in objects if found.key.endswith(".tar")]


def _read_shard(store: ObjectStore, found: StoredObject) -> tuple[AdoptShard | None, int]:
    """Return what to adopt, or None for what is not a shard, and how many lines of its index were damaged."""
    try:
        read = read_tail(store, found)
    except StorageError:
        return None, 0
    if read is None:
        return None, 0
    return AdoptShard(found.key, found.size_bytes, read.batches, read.attempt), read.damaged
