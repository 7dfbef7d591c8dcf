"""Write the image index: shards, and the batches whose images lie in them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.storage.database import Database
from bridge.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard, as the index has it."""

    shard_id: int
    session_id: str
    key: str
    size_bytes: int
    closed: bool = False
    stored: bool = False
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ShardImage:
    """One image in a shard."""

    position: int
    offset: int
    length: int
    predicted_class: int | None
    confidence: float | None
    """None: not reported, or not between 0 and 1."""
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
    attempt: int = 1

    @property
    def row_key(self) -> tuple[str, int, int, int]:
        """What sets it apart from every other batch in the index."""
        return (self.session_id, self.attempt, self.epoch, self.batch)


PUT_SHARD = (
    "INSERT INTO shards (shard_id, session_id, key, size_bytes, closed, stored, attempt)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " size_bytes = excluded.size_bytes, closed = excluded.closed, stored = excluded.stored"
)
PUT_BATCH = (
    "INSERT OR REPLACE INTO batches (session_id, attempt, epoch, batch, received_ms, loss, images)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
PUT_IMAGE = (
    "INSERT OR REPLACE INTO images (session_id, attempt, epoch, batch, position, shard_id, offset, length,"
    " predicted_class, confidence, true_class, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
OF_BATCH = "session_id = ? AND attempt = ? AND epoch = ? AND batch = ?"
DELETE_IMAGES = f"DELETE FROM images WHERE {OF_BATCH}"  # noqa: S608 -- a constant
FIND_SAME_OR_NEWER = f"SELECT 1 FROM batches WHERE {OF_BATCH} AND received_ms >= ?"  # noqa: S608 -- a constant
SHARDS = "SELECT shard_id, session_id, key, size_bytes, closed, stored, attempt FROM shards"


def loss_to_row(loss: float | None) -> float | None:
    """Return a loss as the database stores it.

    Not finite is NULL, which SQLite makes of NaN anyway; not reported is -infinity, which sorts below every loss.
    """
    if loss is None:
        return -math.inf
    return loss if math.isfinite(loss) else None


def loss_of_row(stored: float | None) -> float | None:
    """Return the loss that `loss_to_row` stored; one that is not finite as NaN."""
    if stored is None:
        return math.nan
    return None if stored == -math.inf else stored


def put_shards(transaction: Transaction, shards: Iterable[Shard]) -> None:
    """Insert shards, or update those that have grown."""
    transaction.executemany(
        PUT_SHARD,
        [
            (s.shard_id, s.session_id, s.key, s.size_bytes, s.closed, s.stored, s.attempt)
            for s in shards
        ],
    )


def put_batches(transaction: Transaction, batches: Iterable[ShardBatch]) -> None:
    """Insert batches with their images; a batch that is sent again replaces the older one whole."""
    by_key = {b.row_key: b for b in batches}
    transaction.executemany(DELETE_IMAGES, list(by_key))
    transaction.executemany(
        PUT_BATCH,
        [(*key, b.received_ms, loss_to_row(b.loss), len(b.images)) for key, b in by_key.items()],
    )
    transaction.executemany(PUT_IMAGE, [row for b in by_key.values() for row in _image_rows(b)])


def adopt_batches(
    transaction: Transaction, database: Database, batches: Sequence[ShardBatch]
) -> None:
    """Insert batches found in shards, except where the index has the same or newer ones."""
    put_batches(
        transaction,
        [b for b in batches if not database.query(FIND_SAME_OR_NEWER, (*b.row_key, b.received_ms))],
    )


def is_rebuilt(database: Database, place: str) -> bool:
    """Return whether the index has all that lay in "spool" or "store" before the database was made."""
    return bool(database.query("SELECT 1 FROM rebuilt WHERE place = ?", (place,)))


def mark_rebuilt(transaction: Transaction, place: str) -> None:
    """Record that the index has all that lies there."""
    transaction.execute("INSERT OR IGNORE INTO rebuilt VALUES (?)", (place,))


def mark_stored(transaction: Transaction, shard_ids: Iterable[int]) -> None:
    """Record that shards are in the object store."""
    transaction.executemany(
        "UPDATE shards SET stored = 1, closed = 1 WHERE shard_id = ?", [(i,) for i in shard_ids]
    )


def unstored_shards(database: Database) -> list[Shard]:
    """Return the shards that have not reached the object store, oldest first."""
    return _shards(database, f"{SHARDS} WHERE stored = 0 ORDER BY shard_id")


@dataclass(frozen=True, slots=True)
class Unstored:
    """How much has not reached the object store."""

    shards: int
    images: int


def unstored(database: Database) -> Unstored:
    """Return how many shards, with how many images, have not reached the object store."""
    sql = (
        "SELECT count(*), (SELECT count(*) FROM images WHERE shard_id IN"
        " (SELECT shard_id FROM shards WHERE stored = 0)) FROM shards WHERE stored = 0"
    )
    [[shards, images]] = database.query(sql)
    return Unstored(shards, images)


def shards_of_session(database: Database, session_id: str) -> list[Shard]:
    """Return all shards of a session, oldest first."""
    return _shards(database, f"{SHARDS} WHERE session_id = ? ORDER BY shard_id", session_id)


def forget_shards(transaction: Transaction, shards: Iterable[Shard]) -> None:
    """Delete the rows of shards of which no image is indexed any more."""
    transaction.executemany(
        "DELETE FROM shards WHERE shard_id = ?", [(shard.shard_id,) for shard in shards]
    )


def shard_of(database: Database, key: str) -> Shard | None:
    """Return the shard with this key, or None."""
    return next(iter(_shards(database, f"{SHARDS} WHERE key = ?", key)), None)


SHARD_IDS_END = 10**18
"""Ids of shards never come near this: one that does is damaged, and the ids after it must stay free."""


def last_shard_id(database: Database) -> int:
    """Return the highest id of a shard that is not damaged; 0 where there is none."""
    sql = "SELECT max(shard_id) FROM shards WHERE shard_id BETWEEN 0 AND ?"
    highest: int | None = database.query(sql, (SHARD_IDS_END,))[0][0]
    return highest or 0


def _shards(database: Database, sql: str, *parameters: object) -> list[Shard]:
    return [
        Shard(shard_id, session_id, key, size_bytes, bool(closed), bool(stored), attempt)
        for shard_id, session_id, key, size_bytes, closed, stored, attempt in database.query(
            sql, parameters
        )
    ]


def _image_rows(batch: ShardBatch) -> list[tuple[object, ...]]:
    return [
        (
            *batch.row_key,
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
