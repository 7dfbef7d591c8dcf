"""Marks the shards that only a bridge which is gone had on its disk, and counts their images as lost."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import Text, bindparam, exists, func, select, update

from bridge.model import ImageResult
from bridge.storage.database import Database
from bridge.storage.image_counts import ImageCount, add_counts
from bridge.storage.owners import IS_DEAD, LOCK_DEAD
from bridge.storage.schema import BRIDGES, IMAGES, SHARDS, TALLIES
from bridge.storage.shards import LOST, WAITING
from bridge.storage.statements import Statement
from bridge.storage.transaction import Transaction

IS_WAITING = SHARDS.c.stored == WAITING
OF_GONE = SHARDS.c.bridge_id == bindparam("gone", type_=Text)

GONE_WITH_SHARDS = Statement(
    select(BRIDGES.c.bridge_id)
    .where(
        IS_DEAD,
        BRIDGES.c.bridge_id != bindparam("bridge"),
        exists().where(SHARDS.c.bridge_id == BRIDGES.c.bridge_id, IS_WAITING),
    )
    .order_by(BRIDGES.c.bridge_id)
)
SESSIONS_OF = Statement(
    select(SHARDS.c.session_id).where(OF_GONE, IS_WAITING).distinct().order_by(SHARDS.c.session_id)
)
OF_SESSION = SHARDS.c.session_id == bindparam("session", type_=Text)
COUNT_IMAGES = Statement(
    select(IMAGES.c.attempt, func.count(), func.max(IMAGES.c.received_ms))
    .join(SHARDS, SHARDS.c.shard_id == IMAGES.c.shard_id)
    .where(IMAGES.c.session_id == bindparam("session", type_=Text), OF_SESSION, OF_GONE, IS_WAITING)
    .group_by(IMAGES.c.attempt)
)
MARK_LOST = Statement(update(SHARDS).values(stored=LOST).where(OF_SESSION, OF_GONE, IS_WAITING))
TOTALS = Statement(
    select(TALLIES.c.session_id, TALLIES.c.attempt, TALLIES.c.images, TALLIES.c.at_ms).where(
        TALLIES.c.result == ImageResult.LOST.value
    )
)


@dataclass(frozen=True, slots=True)
class LostShards:
    """What a bridge that is gone took along of one session."""

    bridge_id: str
    session_id: str
    shards: int
    images: int


def mark_lost(database: Database, *, silent_seconds: float) -> Iterator[LostShards]:
    """Give up the shards of bridges that were not seen for so long, session by session; blocks.

    Several bridges may do so at the same time: each image is counted once. One that comes back with its disk brings
    its shards to the store all the same, which takes the mark away; the count stays. Raises StorageError.
    """
    silent_ms = round(silent_seconds * 1000)
    for [gone] in database.query(
        GONE_WITH_SHARDS, {"silent_ms": silent_ms, "bridge": database.bridge_id}
    ):
        for [session_id] in database.query(SESSIONS_OF, {"gone": gone}):
            with database.transaction() as transaction:
                if not transaction.query(LOCK_DEAD, {"dead": gone, "silent_ms": silent_ms}):
                    break
                lost = _mark(transaction, str(gone), str(session_id))
            if lost.shards:
                yield lost


def lost_totals(database: Database, sessions: Collection[str]) -> list[ImageCount]:
    """Return how many images of some sessions are lost, by attempt; blocks."""
    return [
        ImageCount(session_id, attempt, ImageResult.LOST, images, at_ms)
        for session_id, attempt, images, at_ms in database.query(TOTALS)
        if session_id in sessions
    ]


def _mark(transaction: Transaction, gone: str, session_id: str) -> LostShards:
    place = {"gone": gone, "session": session_id}
    counts = [
        ImageCount(session_id, attempt, ImageResult.LOST, images, at_ms)
        for attempt, images, at_ms in transaction.query(COUNT_IMAGES, place)
    ]
    add_counts(transaction, counts)
    shards = transaction.execute(MARK_LOST, place).rowcount
    return LostShards(gone, session_id, shards, sum(count.images for count in counts))
