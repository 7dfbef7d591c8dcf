"""Sessions that are to be deleted, and what there is of each in the database."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from bridge.storage.database import Database
from bridge.storage.shards import Shard, shards_of_session
from bridge.storage.transaction import Transaction

ROWS_PER_STEP = 1_000
"""Rows deleted in one transaction: a commit that acknowledges batches waits for no longer than that takes."""

FIRST_MS = re.compile(r"/(\d{13})-[^/]*\.tar")
"""When the first image of a shard was received, in its key."""

PUT = "INSERT OR REPLACE INTO deletions (session_id, images, requested_ms) VALUES (?, ?, ?)"
DELETE_SESSION = "DELETE FROM sessions WHERE session_id = ?"
DELETE_WINDOW = "DELETE FROM windows WHERE session_id = ?"
DELETE_COUNTS = "DELETE FROM tallies WHERE session_id = ? AND at_ms < ?"
DELETE_IMAGES = (
    "DELETE FROM images WHERE (session_id, epoch, batch, position) IN"
    " (SELECT session_id, epoch, batch, position FROM images"
    " WHERE session_id = ? AND received_ms < ? LIMIT ?)"
)
DELETE_BATCHES = (
    "DELETE FROM batches WHERE (session_id, epoch, batch) IN"
    " (SELECT session_id, epoch, batch FROM batches WHERE session_id = ? AND received_ms < ? LIMIT ?)"
)


class ImageScope(IntEnum):
    """Which images go with a session; the numbers are those of the database."""

    NONE = 0
    ALL = 1
    """Whatever the object store has of it."""
    OWN = 2
    """What this bridge has stored or indexed: others may go on with a session that left this one."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A session that is to be deleted, as it was at one moment: what its name gets later is kept."""

    session_id: str
    images: ImageScope
    requested_ms: int

    def covers(self, key: str) -> bool:
        """Return whether a shard belongs to what is deleted."""
        first = FIRST_MS.search(key)
        return (
            key.startswith(f"{self.session_id}/")
            and first is not None
            and int(first[1]) < self.requested_ms
        )


def put_deletions(transaction: Transaction, deletions: Iterable[Deletion]) -> None:
    """Delete the sessions themselves, and record that the rest of them is to follow."""
    for deletion in deletions:
        transaction.execute(DELETE_SESSION, (deletion.session_id,))
        transaction.execute(DELETE_WINDOW, (deletion.session_id,))
        transaction.execute(PUT, (deletion.session_id, deletion.images, deletion.requested_ms))


def pending_deletions(database: Database) -> list[Deletion]:
    """Return the deletions that have not been completed, oldest first."""
    rows = database.query(
        "SELECT session_id, images, requested_ms FROM deletions ORDER BY requested_ms"
    )
    return [Deletion(session_id, ImageScope(images), at_ms) for session_id, images, at_ms in rows]


def archived_before(database: Database, before_ms: int, limit: int) -> list[str]:
    """Return the sessions out of memory that were last heard of before a time, the oldest first."""
    sql = "SELECT session_id FROM sessions WHERE ended_ms > 0 AND updated_ms < ? ORDER BY updated_ms LIMIT ?"
    return [name for [name] in database.query(sql, (before_ms, limit))]


def archived_beyond(database: Database, kept: int, limit: int) -> list[str]:
    """Return the sessions out of memory that are more than so many, the oldest first."""
    [[count]] = database.query("SELECT count(*) FROM sessions WHERE ended_ms > 0")
    sql = "SELECT session_id FROM sessions WHERE ended_ms > 0 ORDER BY updated_ms LIMIT ?"
    surplus = min(limit, count - kept)
    return [name for [name] in database.query(sql, (surplus,))] if surplus > 0 else []


def covered_shards(database: Database, deletion: Deletion) -> list[Shard]:
    """Return the shards that a deletion is about."""
    shards = shards_of_session(database, deletion.session_id)
    return [shard for shard in shards if deletion.covers(shard.key)]


def delete_some_rows(transaction: Transaction, deletion: Deletion) -> int:
    """Delete some rows of the image index, and return how many; 0: none are left."""
    parameters = (deletion.session_id, deletion.requested_ms, ROWS_PER_STEP)
    deleted = transaction.execute(DELETE_IMAGES, parameters).rowcount
    return deleted or transaction.execute(DELETE_BATCHES, parameters).rowcount


def complete_deletion(transaction: Transaction, deletion: Deletion) -> None:
    """Delete the last that is left of a session, and the record of its deletion."""
    transaction.execute(DELETE_COUNTS, (deletion.session_id, deletion.requested_ms))
    transaction.execute(
        "DELETE FROM deletions WHERE session_id = ? AND requested_ms = ?",
        (deletion.session_id, deletion.requested_ms),
    )
