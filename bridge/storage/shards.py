"""Write the image index: shards, and the batches whose images lie in them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, select, update

from bridge.storage.database import Database, Row
from bridge.storage.schema import BATCHES, IMAGES, REBUILT, SHARDS
from bridge.storage.statements import Statement, inserted, upsert
from bridge.storage.transaction import Transaction

WAITING, STORED, LOST = 0, 1, 2
"""What `shards.stored` says."""

SHARD_IDS = 1 << 40
"""Ids that each bridge has of its own, from its number times as many on; one beyond any bridge's is damaged."""


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
    bridge_id: str = ""
    """Whose spool has it until it is stored, where several bridges share the index."""
    lost: bool = False
    """It went with a bridge that is gone."""

    @property
    def is_waiting(self) -> bool:
        """Whether it may still reach the object store."""
        return not (self.stored or self.lost)


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


SHARD = SHARDS.c
BATCH = BATCHES.c

PUT_SHARD = upsert(SHARDS, changes=("size_bytes", "closed", "stored"))
ADOPT_SHARD = Statement(inserted(SHARDS).on_conflict_do_nothing())
PUT_BATCH = upsert(BATCHES)
PUT_IMAGE = upsert(IMAGES)

DELETE_IMAGES = Statement(
    delete(IMAGES).where(
        *(IMAGES.c[name] == bindparam(name) for name in ("session_id", "attempt", "epoch", "batch"))
    ),
    any_sequence=True,
)
FIND_SAME_OR_NEWER = Statement(
    select(BATCH.attempt).where(
        *(
            BATCHES.c[name] == bindparam(name)
            for name in ("session_id", "attempt", "epoch", "batch")
        ),
        BATCH.received_ms >= bindparam("received_ms"),
    )
)

MARK_STORED = Statement(
    update(SHARDS).where(SHARD.shard_id == bindparam("shard_id")).values(stored=STORED, closed=1)
)
FORGET_SHARD = Statement(delete(SHARDS).where(SHARD.shard_id == bindparam("shard_id")))

_SHARDS = select(
    *(SHARD.shard_id, SHARD.session_id, SHARD.key, SHARD.size_bytes),
    *(SHARD.closed, SHARD.stored, SHARD.attempt, SHARD.bridge_id),
).order_by(SHARD.shard_id)
_IS_WAITING = (SHARD.stored != STORED, SHARD.bridge_id == bindparam("bridge_id"))

UNSTORED_SHARDS = Statement(_SHARDS.where(*_IS_WAITING))
SHARDS_OF_SESSION = Statement(_SHARDS.where(SHARD.session_id == bindparam("session_id")))
SHARD_OF_KEY = Statement(_SHARDS.where(SHARD.key == bindparam("key")))
COUNT_UNSTORED = Statement(
    select(
        func.count(),
        select(func.count())
        .select_from(IMAGES)
        .where(
            *(
                IMAGES.c[name].in_(select(SHARD[name]).where(*_IS_WAITING))
                for name in ("session_id", "shard_id")
            )
        )
        .scalar_subquery(),
    ).where(*_IS_WAITING)
)
"""The session, too, spares the images of all others: they are not sorted by shard."""
LAST_SHARD_ID = Statement(
    select(func.max(SHARD.shard_id)).where(
        SHARD.shard_id.between(bindparam("first"), bindparam("last"))
    )
)

FIND_REBUILT = Statement(select(REBUILT.c.place).where(REBUILT.c.place == bindparam("place")))
MARK_REBUILT = Statement(inserted(REBUILT).on_conflict_do_nothing())


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
    transaction.executemany(PUT_SHARD, [_shard_row(shard) for shard in shards])


def put_batches(transaction: Transaction, batches: Iterable[ShardBatch]) -> None:
    """Insert batches with their images; a batch that is sent again replaces the older one whole."""
    by_key = {b.row_key: b for b in batches}
    rows = [_batch_row(batch) for batch in by_key.values()]
    transaction.executemany(DELETE_IMAGES, rows)
    transaction.executemany(PUT_BATCH, rows)
    transaction.executemany(PUT_IMAGE, [row for b in by_key.values() for row in _image_rows(b)])


def adopt_batches(
    transaction: Transaction, database: Database, batches: Sequence[ShardBatch]
) -> None:
    """Insert batches found in shards, except where the index has the same or newer ones."""
    put_batches(
        transaction,
        [b for b in batches if not database.query(FIND_SAME_OR_NEWER, _batch_row(b))],
    )


def adopt_shards(
    transaction: Transaction,
    database: Database,
    shards: Iterable[Shard],
    batches: Sequence[ShardBatch],
) -> None:
    """Insert shards found in the object store, and their batches, but for shards that the index has by now."""
    new = {
        shard.shard_id
        for shard in shards
        if transaction.execute(ADOPT_SHARD, _shard_row(shard)).rowcount
    }
    adopt_batches(transaction, database, [batch for batch in batches if batch.shard_id in new])


def own_spool(database: Database) -> str:
    """Return the place that the spool of this bridge is for `is_rebuilt`."""
    return f"spool {database.bridge_id}".rstrip()


def is_rebuilt(database: Database, place: str) -> bool:
    """Return whether the index has all that lay in a spool or in "store" before the database was made."""
    return bool(database.query(FIND_REBUILT, {"place": place}))


def mark_rebuilt(transaction: Transaction, place: str) -> None:
    """Record that the index has all that lies there."""
    transaction.execute(MARK_REBUILT, {"place": place})


def mark_stored(transaction: Transaction, shard_ids: Iterable[int]) -> list[int]:
    """Record that shards are in the object store, and return those that the index does not know."""
    return [
        number
        for number in shard_ids
        if not transaction.execute(MARK_STORED, {"shard_id": number}).rowcount
    ]


def unstored_shards(database: Database) -> list[Shard]:
    """Return the shards of this bridge that have not reached the object store, oldest first."""
    return _shards(database.query(UNSTORED_SHARDS, {"bridge_id": database.bridge_id}))


@dataclass(frozen=True, slots=True)
class Unstored:
    """How much has not reached the object store."""

    shards: int
    images: int


def unstored(database: Database) -> Unstored:
    """Return how many shards of this bridge, with how many images, have not reached the object store."""
    [[shards, images]] = database.query(COUNT_UNSTORED, {"bridge_id": database.bridge_id})
    return Unstored(shards, images)


def shards_of_session(database: Database, session_id: str) -> list[Shard]:
    """Return all shards of a session, oldest first."""
    return _shards(database.query(SHARDS_OF_SESSION, {"session_id": session_id}))


def forget_shards(transaction: Transaction, shards: Iterable[Shard]) -> None:
    """Delete the rows of shards of which no image is indexed any more."""
    transaction.executemany(FORGET_SHARD, [{"shard_id": shard.shard_id} for shard in shards])


def shard_of(database: Database, key: str) -> Shard | None:
    """Return the shard with this key, or None."""
    return next(iter(_shards(database.query(SHARD_OF_KEY, {"key": key}))), None)


def last_shard_id(database: Database) -> int:
    """Return the highest id that this bridge has given to a shard; where there is none, what comes before its first."""
    before = database.number * SHARD_IDS
    rows = database.query(LAST_SHARD_ID, {"first": before, "last": before + SHARD_IDS - 1})
    return rows[0][0] or before


def _shards(rows: Iterable[Row]) -> list[Shard]:
    return [
        Shard(
            *(shard_id, session_id, key, size_bytes),
            closed=bool(closed),
            stored=stored == STORED,
            attempt=attempt,
            bridge_id=bridge_id,
            lost=stored == LOST,
        )
        for shard_id, session_id, key, size_bytes, closed, stored, attempt, bridge_id in rows
    ]


def _shard_row(shard: Shard) -> dict[str, object]:
    return {
        "shard_id": shard.shard_id,
        "session_id": shard.session_id,
        "key": shard.key,
        "size_bytes": shard.size_bytes,
        "closed": int(shard.closed),
        "stored": STORED if shard.stored else WAITING,
        "attempt": shard.attempt,
        "bridge_id": shard.bridge_id,
    }


def _batch_row(batch: ShardBatch) -> dict[str, object]:
    return {
        "session_id": batch.session_id,
        "attempt": batch.attempt,
        "epoch": batch.epoch,
        "batch": batch.batch,
        "received_ms": batch.received_ms,
        "loss": loss_to_row(batch.loss),
        "images": len(batch.images),
    }


def _image_rows(batch: ShardBatch) -> list[dict[str, object]]:
    return [
        {
            "session_id": batch.session_id,
            "attempt": batch.attempt,
            "epoch": batch.epoch,
            "batch": batch.batch,
            "position": image.position,
            "shard_id": batch.shard_id,
            "offset": image.offset,
            "length": image.length,
            "predicted_class": image.predicted_class,
            "confidence": image.confidence,
            "true_class": image.true_class,
            "received_ms": batch.received_ms,
        }
        for image in batch.images
    ]
