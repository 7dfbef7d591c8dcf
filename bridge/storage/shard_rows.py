"""Finds and deletes the rows of shards in the image index, which is not sorted by shard.

One pass over the images of a session takes as long for one shard as for many, so many are looked up at once.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, bindparam, delete, func, select, update

from bridge.storage.database import Database
from bridge.storage.schema import BATCHES, IMAGES
from bridge.storage.shards import FORGET_SHARD, Shard
from bridge.storage.statements import Statement
from bridge.storage.transaction import Transaction

SHARDS_PER_PASS = 64
"""Their rows are in memory at the same time: a few thousand of a shard."""

BATCH_KEY = ("session_id", "attempt", "epoch", "batch")


def _one_of(column: Column[Any], name: str) -> ColumnElement[bool]:
    """Return whether a column has one of as many values as a pass looks up."""
    return column.in_([bindparam(f"{name}_{n}", type_=column.type) for n in range(SHARDS_PER_PASS)])


def _one_of_parameters(name: str, values: Sequence[object]) -> dict[str, object]:
    """Return the parameters for up to as many values; nothing equals the NULL that stands for the others."""
    missing = [None] * (SHARDS_PER_PASS - len(values))
    return {f"{name}_{n}": value for n, value in enumerate((*values, *missing))}


_image_key = [IMAGES.c[name] == bindparam(name) for name in (*BATCH_KEY, "position", "shard_id")]
_batch_key = [BATCHES.c[name] == bindparam(f"its_{name}") for name in BATCH_KEY]
_is_in_batch = [IMAGES.c[name] == BATCHES.c[name] for name in BATCH_KEY]

ROWS = Statement(
    select(
        IMAGES.c.shard_id,
        *(IMAGES.c[name] for name in BATCH_KEY),
        *(IMAGES.c.position, IMAGES.c.offset),
    ).where(_one_of(IMAGES.c.session_id, "session"), _one_of(IMAGES.c.shard_id, "shard"))
)
DELETE_IMAGE = Statement(delete(IMAGES).where(*_image_key))
RECOUNT_BATCH = Statement(
    update(BATCHES)
    .values(images=select(func.count()).select_from(IMAGES).where(*_is_in_batch).scalar_subquery())
    .where(*_batch_key)
)
DELETE_IF_EMPTY = Statement(delete(BATCHES).where(*_batch_key, BATCHES.c.images == 0))


class ShardRow(NamedTuple):
    """Where the index has an image of a shard, and where in the shard it lies."""

    batch: tuple[str, int, int, int]
    """Session, attempt, epoch and batch."""
    position: int
    offset: int


class ShardRows:
    """The rows of some shards, as they were committed before this transaction."""

    def __init__(self, database: Database, shards: Sequence[Shard]) -> None:
        """Look nothing up yet: `shards` are those that may be asked for, in that order."""
        self._database = database
        self._shards = {shard.shard_id: shard for shard in shards}
        self._found: dict[int, list[ShardRow]] = {}

    def delete_except(
        self, transaction: Transaction, shard: Shard, offsets: Iterable[int] = ()
    ) -> int:
        """Delete the images of a shard that do not lie at one of these offsets, and return how many they were.

        Batches that are left without images are deleted too.
        """
        kept = set(offsets)
        rows = [row for row in self._rows(shard) if row.offset not in kept]
        deleted = sum(
            transaction.execute(DELETE_IMAGE, _image_parameters(row, shard)).rowcount
            for row in rows
        )
        batches = [_batch_parameters(batch) for batch in {row.batch: None for row in rows}]
        transaction.executemany(RECOUNT_BATCH, batches)
        transaction.executemany(DELETE_IF_EMPTY, batches)
        return deleted

    def delete_shard(self, transaction: Transaction, shard: Shard) -> int:
        """Delete a shard that is lost, and return how many images went with it."""
        deleted = self.delete_except(transaction, shard)
        transaction.execute(FORGET_SHARD, {"shard_id": shard.shard_id})
        return deleted

    def _rows(self, shard: Shard) -> list[ShardRow]:
        if shard.shard_id not in self._found:
            self._look_up(shard)
        return self._found[shard.shard_id]

    def _look_up(self, shard: Shard) -> None:
        """Find the rows of a shard, and of those that come after it."""
        self._shards[shard.shard_id] = shard
        ids = list(self._shards)
        start = ids.index(shard.shard_id)
        chosen = [self._shards[each] for each in ids[start : start + SHARDS_PER_PASS]]
        self._found = {each.shard_id: [] for each in chosen}
        sessions = {each.session_id for each in chosen if isinstance(each.session_id, str)}
        parameters = {
            **_one_of_parameters("session", sorted(sessions)),
            **_one_of_parameters("shard", list(self._found)),
        }
        found = self._database.query(ROWS, parameters)
        for shard_id, *batch, position, offset in found:
            self._found[shard_id].append(ShardRow(tuple(batch), position, offset))


def _image_parameters(row: ShardRow, shard: Shard) -> dict[str, object]:
    place = {"position": row.position, "shard_id": shard.shard_id}
    return {**dict(zip(BATCH_KEY, row.batch, strict=True)), **place}


def _batch_parameters(batch: tuple[str, int, int, int]) -> dict[str, object]:
    return {f"its_{name}": value for name, value in zip(BATCH_KEY, batch, strict=True)}
