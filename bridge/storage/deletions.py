"""Sessions that are to be deleted, and what there is of each in the database."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from bridge.storage.database import Database
from bridge.storage.shard_keys import parse_key
from bridge.storage.shards import Shard, shards_of_session
from bridge.storage.transaction import Transaction

ROWS_PER_STEP = 1_000
"""Rows deleted in one transaction: a commit that acknowledges batches waits for no longer than that takes."""

ALL_ATTEMPTS = 0

LAST_ATTEMPT = 2**62

OF_ATTEMPTS = "session_id = ?1 AND attempt BETWEEN ?2 AND ?3"

PUT = "INSERT OR REPLACE INTO deletions (session_id, attempt, images, requested_ms) VALUES (?, ?, ?, ?)"
DELETE_SESSION = f"DELETE FROM sessions WHERE {OF_ATTEMPTS}"  # noqa: S608 -- a constant
DELETE_WINDOW = "DELETE FROM windows WHERE session_id = ?"
DELETE_COUNTS = f"DELETE FROM tallies WHERE {OF_ATTEMPTS} AND at_ms < ?4"  # noqa: S608 -- a constant
DELETE_IMAGES = (
    "DELETE FROM images WHERE (session_id, attempt, epoch, batch, position) IN"  # noqa: S608 -- a constant
    f" (SELECT session_id, attempt, epoch, batch, position FROM images WHERE {OF_ATTEMPTS}"
    " AND received_ms < ?4 LIMIT ?5)"
)
DELETE_BATCHES = (
    "DELETE FROM batches WHERE (session_id, attempt, epoch, batch) IN"  # noqa: S608 -- a constant
    f" (SELECT session_id, attempt, epoch, batch FROM batches WHERE {OF_ATTEMPTS}"
    " AND received_ms < ?4 LIMIT ?5)"
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
    """A session or an attempt that is to be deleted, as it was at one moment: what its name gets later is kept."""

    session_id: str
    images: ImageScope
    requested_ms: int
    attempt: int = ALL_ATTEMPTS

    @property
    def rows(self) -> tuple[str, int, int]:
        """The session, and the first and last attempt of the rows to delete."""
        if self.attempt == ALL_ATTEMPTS:
            return (self.session_id, 0, LAST_ATTEMPT)
        return (self.session_id, self.attempt, self.attempt)

    def covers(self, key: str) -> bool:
        """Return whether a shard belongs to what is deleted, by what its key says.

        The keys of older bridges name no attempt: the index knows whose these are.
        """
        parsed = parse_key(key)
        return (
            parsed is not None
            and parsed.session_id == self.session_id
            and parsed.first_ms < self.requested_ms
            and self.attempt in (ALL_ATTEMPTS, parsed.attempt)
        )

    def covers_shard(self, shard: Shard) -> bool:
        """Return whether a shard of the index belongs to what is deleted."""
        is_of_attempt = self.attempt in (ALL_ATTEMPTS, shard.attempt)
        return is_of_attempt and replace(self, attempt=ALL_ATTEMPTS).covers(shard.key)


@dataclass(frozen=True, slots=True)
class Archived:
    """An attempt of a session that is out of memory, or such a session with ALL_ATTEMPTS."""

    session_id: str
    attempt: int


def put_deletions(transaction: Transaction, deletions: Iterable[Deletion]) -> None:
    """Delete the sessions themselves, and record that the rest of them is to follow."""
    for deletion in deletions:
        transaction.execute(DELETE_SESSION, deletion.rows)
        if deletion.attempt == ALL_ATTEMPTS:
            transaction.execute(DELETE_WINDOW, (deletion.session_id,))
        transaction.execute(
            PUT, (deletion.session_id, deletion.attempt, deletion.images, deletion.requested_ms)
        )


def pending_deletions(database: Database) -> list[Deletion]:
    """Return the deletions that have not been completed, oldest first."""
    rows = database.query(
        "SELECT session_id, images, requested_ms, attempt FROM deletions ORDER BY requested_ms"
    )
    return [
        Deletion(name, ImageScope(images), at_ms, number) for name, images, at_ms, number in rows
    ]


def archived_before(database: Database, before_ms: int, limit: int) -> list[Archived]:
    """Return the attempts out of memory that were last heard of before a time, the oldest first."""
    sql = (
        "SELECT session_id, attempt FROM sessions WHERE ended_ms > 0 AND updated_ms < ?"
        " ORDER BY updated_ms LIMIT ?"
    )
    return [Archived(*row) for row in database.query(sql, (before_ms, limit))]


def archived_beyond(database: Database, kept: int, limit: int) -> list[Archived]:
    """Return the attempts out of memory that are more than so many, the oldest first."""
    [[count]] = database.query("SELECT count(*) FROM sessions WHERE ended_ms > 0")
    sql = "SELECT session_id, attempt FROM sessions WHERE ended_ms > 0 ORDER BY updated_ms LIMIT ?"
    surplus = min(limit, count - kept)
    return [Archived(*row) for row in database.query(sql, (surplus,))] if surplus > 0 else []


def attempts_beyond(database: Database, kept: int, limit: int) -> list[Archived]:
    """Return the attempts of each session that are more than so many, the oldest of it first."""
    sql = (
        "SELECT session_id, attempt FROM (SELECT session_id, attempt, row_number() OVER"
        " (PARTITION BY session_id ORDER BY attempt DESC) AS place FROM sessions WHERE session_id IN"
        " (SELECT session_id FROM sessions GROUP BY session_id HAVING count(*) > ?1))"
        " WHERE place > ?1 ORDER BY session_id, attempt LIMIT ?2"
    )
    return [Archived(*row) for row in database.query(sql, (kept, limit))]


def whole_sessions(database: Database, found: Iterable[Archived]) -> list[Archived]:
    """Return the same attempts, with one entry for a session of which all are among them.

    A session that goes whole takes along what the index has of it without a row for it.
    """
    by_session: dict[str, list[Archived]] = {}
    for one in found:
        by_session.setdefault(one.session_id, []).append(one)
    result: list[Archived] = []
    for name, attempts in by_session.items():
        [[kept]] = database.query("SELECT count(*) FROM sessions WHERE session_id = ?", (name,))
        result += [Archived(name, ALL_ATTEMPTS)] if kept == len(attempts) else attempts
    return result


def covered_shards(database: Database, deletion: Deletion) -> list[Shard]:
    """Return the shards that a deletion is about."""
    shards = shards_of_session(database, deletion.session_id)
    return [shard for shard in shards if deletion.covers_shard(shard)]


def delete_some_rows(transaction: Transaction, deletion: Deletion) -> int:
    """Delete some rows of the image index, and return how many; 0: none are left."""
    parameters = (*deletion.rows, deletion.requested_ms, ROWS_PER_STEP)
    deleted = transaction.execute(DELETE_IMAGES, parameters).rowcount
    return deleted or transaction.execute(DELETE_BATCHES, parameters).rowcount


def complete_deletion(transaction: Transaction, deletion: Deletion) -> None:
    """Delete the last that is left of a session, and the record of its deletion."""
    transaction.execute(DELETE_COUNTS, (*deletion.rows, deletion.requested_ms))
    transaction.execute(
        "DELETE FROM deletions WHERE session_id = ? AND attempt = ? AND requested_ms = ?",
        (deletion.session_id, deletion.attempt, deletion.requested_ms),
    )
