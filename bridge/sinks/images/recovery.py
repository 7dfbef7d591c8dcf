"""Take up what a stopped bridge left in the spool."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from bridge.sinks.images import shardfile
from bridge.sinks.images.openshard import finite
from bridge.sinks.images.shard import parse_index
from bridge.sinks.images.spool import Spool
from bridge.storage.database import Database, Transaction
from bridge.storage.objects import KEY
from bridge.storage.shards import (
    Shard,
    ShardBatch,
    ShardImage,
    adopt_batches,
    forget_images,
    forget_shard,
    is_rebuilt,
    last_shard_id,
    mark_rebuilt,
    put_shards,
    shard_of,
    waiting_shards,
)
from bridge.telemetry import Telemetry

What = TypeVar("What")


@dataclass(frozen=True, slots=True)
class Bench:
    """Where recovery works."""

    spool: Spool
    database: Database
    transaction: Transaction
    telemetry: Telemetry


def recover(spool: Spool, database: Database, telemetry: Telemetry) -> list[Shard]:
    """Make every shard in the spool whole and closed, and return them for upload, oldest first.

    Of a shard that was open, what no commit told of is cut off: its sender was never told that it is safe,
    and sends it again. A shard that the database knows nothing of, since that is new, is read into it.
    """
    spool.folder.mkdir(parents=True, exist_ok=True)
    spool.next_shard_id = last_shard_id(database) + 1
    known = waiting_shards(database)
    keys = {shard.key for shard in known}
    found = [path.name.replace("~", "/") for path in sorted(spool.folder.glob("*.tar"))]
    shards: list[Shard | None] = []
    with database.transaction() as transaction:
        bench = Bench(spool, database, transaction, telemetry)
        shards += [_tried(_taken_up, shard, bench) for shard in known]
        unknown = [key for key in found if key not in keys and KEY.fullmatch(key)]
        take = _discarded if is_rebuilt(database, "spool") else _adopted
        shards += [_tried(take, key, bench) for key in unknown]
        mark_rebuilt(transaction, "spool")
    whole = [shard for shard in shards if shard is not None]
    for shard in whole:
        spool.found(shard)
    return whole


def batches_of(index: bytes, session_id: str, shard_id: int = 0) -> tuple[ShardBatch, ...]:
    """Return the batches that the index of a shard tells of; raises ValueError where it is none."""
    try:
        lines = [(line["name"].split("-"), line) for line in parse_index(index)]
        named = [((*name[:2], name[3:]), line) for name, line in lines]
        groups = [[line for _, line in group] for _, group in groupby(named, itemgetter(0))]
        return tuple(_batch(lines, session_id, shard_id) for lines in groups)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not the index of a shard") from error


def _tried(take: Callable[[What, Bench], Shard | None], what: What, bench: Bench) -> Shard | None:
    """Leave a file that the disk gives trouble with for the next start."""
    try:
        return take(what, bench)
    except OSError as error:
        bench.telemetry.failed("recovery of the spool", error)
        return None


def _taken_up(shard: Shard, bench: Bench) -> Shard | None:
    path, transaction = bench.spool.path(shard.key), bench.transaction
    if not path.exists():
        # A closed shard may have reached the store without our having noted it: uploading it will tell.
        if not shard.closed:
            forget_shard(transaction, shard.shard_id)
            return None
        return replace(shard, size_bytes=0)
    if shard.closed and path.stat().st_size == shard.size_bytes and shardfile.trailer_of(path):
        return shard
    spots = shardfile.walk(path, limit=shard.size_bytes)
    end = spots[-1].end if spots else 0
    bench.telemetry.note("closed a shard left open", key=shard.key, images=len(spots))
    forget_images(transaction, shard.shard_id, from_offset=end)
    if not spots:
        forget_shard(transaction, shard.shard_id)
        path.unlink()
        return None
    size = shardfile.close(path, spots, at=end, changed_seconds=path.stat().st_mtime)
    closed = replace(shard, size_bytes=size, closed=True)
    put_shards(transaction, [closed])
    return closed


def _discarded(key: str, bench: Bench) -> None:
    """Remove a shard that no commit told of: nothing in it was acknowledged, or the store has it."""
    bench.spool.path(key).unlink()


def _adopted(key: str, bench: Bench) -> Shard | None:
    path = bench.spool.path(key)
    known = shard_of(bench.database, key)
    spots = [] if known is not None and known.stored else shardfile.walk(path)
    if not spots:
        path.unlink()
        return None
    bench.telemetry.note("took up a shard unknown to the database", key=key, images=len(spots))
    size = shardfile.close(path, spots, at=spots[-1].end, changed_seconds=path.stat().st_mtime)
    session_id = key.partition("/")[0]
    shard = Shard(bench.spool.take_id(), session_id, key, size, closed=True)
    put_shards(bench.transaction, [shard])
    adopt_batches(bench.transaction, bench.database, _batches_in(path, shard))
    return shard


def _batches_in(path: Path, shard: Shard) -> tuple[ShardBatch, ...]:
    trailer = shardfile.trailer_of(path)
    if trailer is None:
        return ()
    return batches_of(shardfile.index_of(path, trailer), shard.session_id, shard.shard_id)


def _batch(lines: list[dict[str, Any]], session_id: str, shard_id: int) -> ShardBatch:
    first = lines[0]
    return ShardBatch(
        shard_id,
        session_id,
        int(first["epoch"]),
        int(first["batch_idx"]),
        int(first["received_ms"]),
        _loss(first),
        tuple(_images(lines)),
    )


def _loss(line: dict[str, Any]) -> float | None:
    """Return the loss of a batch; in shards it is null both where it was not finite and where it is missing."""
    if line.get("loss_missing", False):
        return None
    return math.nan if line["batch_loss"] is None else line["batch_loss"]


def _images(lines: list[dict[str, Any]]) -> Iterator[ShardImage]:
    for line in lines:
        yield ShardImage(
            int(line["index"]),
            int(line["offset"]),
            int(line["length"]),
            line["predicted_class"],
            finite(line["confidence"]),
            line["true_class"],
        )
