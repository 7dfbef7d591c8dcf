"""What the image index is told: shards, and the batches whose images lie in them."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.storage.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard, as it will be known from the commit on."""

    shard_id: int
    session_id: str
    key: str
    size_bytes: int
    closed: bool = False
    stored: bool = False


@dataclass(frozen=True, slots=True)
class ShardImage:
    """One image in a shard."""

    position: int
    offset: int
    length: int
    predicted_class: int | None
    confidence: float | None
    """None: not reported, or nothing between 0 and 1."""
    true_class: int | None


@dataclass(frozen=True, slots=True)
class ShardBatch:
    """The images of one batch, all of them in one shard."""

    shard_id: int
    session_id: str
    epoch: int
    batch: int
    received_ms: int
    loss: float | None
    """None: not reported."""
    images: tuple[ShardImage, ...]


PUT_SHARD = (
    "INSERT INTO shards (shard_id, session_id, key, size_bytes, closed, stored)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " size_bytes = excluded.size_bytes, closed = excluded.closed, stored = excluded.stored"
)
PUT_BATCH = (
    "INSERT OR REPLACE INTO batches (session_id, epoch, batch, received_ms, loss, images)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
PUT_IMAGE = (
    "INSERT OR REPLACE INTO images (session_id, epoch, batch, position, shard_id, offset, length,"
    " predicted_class, confidence, true_class, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
CLEAR_BATCH = "DELETE FROM images WHERE session_id = ? AND epoch = ? AND batch = ?"
KNOWS_NEWER = (
    "SELECT 1 FROM batches WHERE session_id = ? AND epoch = ? AND batch = ? AND received_ms >= ?"
)
KEEP_ONLY = (
    "DELETE FROM images WHERE session_id = ? AND shard_id = ?"
    " AND offset NOT IN (SELECT value FROM json_each(?))"
)
COUNT_AGAIN = (
    "UPDATE batches SET images = (SELECT count(*) FROM images WHERE"
    " images.session_id = batches.session_id AND images.epoch = batches.epoch"
    " AND images.batch = batches.batch) WHERE session_id = ?"
)
DROP_EMPTY = "DELETE FROM batches WHERE session_id = ? AND images = 0"
SHARDS = "SELECT shard_id, session_id, key, size_bytes, closed, stored FROM shards"


def loss_to_row(loss: float | None) -> float | None:
    """Return a loss as the database keeps it.

    Not finite is NULL, as SQLite makes of NaN; not reported is minus infinity, which sorts below every loss.
    """
    if loss is None:
        return -math.inf
    return loss if math.isfinite(loss) else None


def loss_of_row(kept: float | None) -> float | None:
    """Return the loss that `loss_to_row` was given; any that is not finite as NaN."""
    if kept is None:
        return math.nan
    return None if kept == -math.inf else kept


def put_shards(transaction: Transaction, shards: Iterable[Shard]) -> None:
    """Note shards, new or grown."""
    transaction.executemany(
        PUT_SHARD,
        [(s.shard_id, s.session_id, s.key, s.size_bytes, s.closed, s.stored) for s in shards],
    )


def put_batches(transaction: Transaction, batches: Iterable[ShardBatch]) -> None:
    """Note the images of batches; a batch that comes again replaces all of its older self."""
    newest = {(b.session_id, b.epoch, b.batch): b for b in batches}
    transaction.executemany(CLEAR_BATCH, list(newest))
    transaction.executemany(
        PUT_BATCH,
        [(*name, b.received_ms, loss_to_row(b.loss), len(b.images)) for name, b in newest.items()],
    )
    transaction.executemany(PUT_IMAGE, [row for b in newest.values() for row in _image_rows(b)])


def adopt_batches(
    transaction: Transaction, database: Database, batches: Sequence[ShardBatch]
) -> None:
    """Note the images of batches found again, except where newer ones are known."""
    put_batches(
        transaction,
        [
            b
            for b in batches
            if not database.query(KNOWS_NEWER, (b.session_id, b.epoch, b.batch, b.received_ms))
        ],
    )


def is_rebuilt(database: Database, place: str) -> bool:
    """Tell whether the index has all that lay in "spool" or "store" before the database was made."""
    return bool(database.query("SELECT 1 FROM rebuilt WHERE place = ?", (place,)))


def mark_rebuilt(transaction: Transaction, place: str) -> None:
    """Note that the index has all that lies there."""
    transaction.execute("INSERT OR IGNORE INTO rebuilt VALUES (?)", (place,))


def mark_stored(transaction: Transaction, shard_ids: Iterable[int]) -> None:
    """Note that shards are in the object store."""
    transaction.executemany(
        "UPDATE shards SET stored = 1, closed = 1 WHERE shard_id = ?", [(i,) for i in shard_ids]
    )


def keep_images(transaction: Transaction, shard: Shard, offsets: Iterable[int]) -> int:
    """Drop the images of a shard that do not lie at one of these offsets; return how many these were.

    Batches that are left without any go too.
    """
    place = (shard.session_id, shard.shard_id, json.dumps(list(offsets)))
    lost = transaction.execute(KEEP_ONLY, place).rowcount
    if lost > 0:
        transaction.execute(COUNT_AGAIN, (shard.session_id,))
        transaction.execute(DROP_EMPTY, (shard.session_id,))
    return lost


def forget_shard(transaction: Transaction, shard: Shard) -> int:
    """Drop a shard that is nowhere any more; return how many images went with it."""
    lost = keep_images(transaction, shard, ())
    transaction.execute("DELETE FROM shards WHERE shard_id = ?", (shard.shard_id,))
    return lost


def waiting_shards(database: Database) -> list[Shard]:
    """Return the shards that have not reached the object store, oldest first."""
    return _shards(database, f"{SHARDS} WHERE stored = 0 ORDER BY shard_id")


def shard_of(database: Database, key: str) -> Shard | None:
    """Return the shard with this key, or None."""
    return next(iter(_shards(database, f"{SHARDS} WHERE key = ?", key)), None)


SHARD_IDS_END = 10**18
"""No number of a shard comes near it: one that is there is damaged, and the next ones must have room."""


def last_shard_id(database: Database) -> int:
    """Return the highest number a shard has that is not damaged; 0 where there is none."""
    sql = "SELECT max(shard_id) FROM shards WHERE shard_id BETWEEN 0 AND ?"
    highest: int | None = database.query(sql, (SHARD_IDS_END,))[0][0]
    return highest or 0


def _shards(database: Database, sql: str, *parameters: object) -> list[Shard]:
    return [
        Shard(shard_id, session_id, key, size_bytes, bool(closed), bool(stored))
        for shard_id, session_id, key, size_bytes, closed, stored in database.query(sql, parameters)
    ]


def _image_rows(batch: ShardBatch) -> list[tuple[object, ...]]:
    head = (batch.session_id, batch.epoch, batch.batch)
    return [
        (
            *head,
            image.position,
            batch.shard_id,
            image.offset,
            image.length,
            image.predicted_class,
            image.confidence,
            image.true_class,
            batch.received_ms,
        )
        for image in batch.images
    ]
