"""Sessions that are to be deleted, and what there is of each in the database."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    tuple_,
)

from bridge.storage.database import Database
from bridge.storage.owners import NOW_MS
from bridge.storage.schema import (
    BATCHES,
    DELETIONS,
    IMAGES,
    OWNERS,
    SESSIONS,
    TALLIES,
    WHOLE,
    WINDOWS,
)
from bridge.storage.shard_keys import parse_key
from bridge.storage.shards import Shard, shards_of_session
from bridge.storage.statements import Statement, upsert
from bridge.storage.transaction import Transaction

ROWS_PER_STEP = 1_000
"""Rows deleted in one transaction: a commit that acknowledges batches waits for no longer than that takes."""

ALL_ATTEMPTS = 0

LAST_ATTEMPT = 2**62

LIMIT: BindParameter[int] = bindparam("limit", type_=WHOLE)


def _of_attempts(table: FromClause) -> list[ColumnElement[bool]]:
    """Return what rows of a table are those of a deletion."""
    return [
        table.c.session_id == bindparam("session_id"),
        table.c.attempt.between(bindparam("first_attempt"), bindparam("last_attempt")),
    ]


def _delete_some(table: Table) -> Statement:
    """Return a statement that deletes some rows that were received before the deletion was requested."""
    some = table.alias("some")
    keys = [column.name for column in table.primary_key]
    chosen = (
        select(*(some.c[name] for name in keys))
        .where(*_of_attempts(some), some.c.received_ms < bindparam("requested_ms"))
        .limit(LIMIT)
    )
    return Statement(delete(table).where(tuple_(*table.primary_key).in_(chosen)))


NOW = Statement(select(NOW_MS))
PUT = upsert(DELETIONS)
_newest = SESSIONS.alias("newest")
_GOES_ON_ELSEWHERE = and_(
    exists().where(
        OWNERS.c.session_id == SESSIONS.c.session_id,
        OWNERS.c.bridge_id != bindparam("bridge", type_=Text),
    ),
    ~exists().where(
        _newest.c.session_id == SESSIONS.c.session_id, _newest.c.attempt > SESSIONS.c.attempt
    ),
)
"""Of the attempt that another bridge has in memory."""
GOES_ON_ELSEWHERE = Statement(
    select(SESSIONS.c.attempt).where(*_of_attempts(SESSIONS), _GOES_ON_ELSEWHERE)
)
DELETE_SESSION = Statement(delete(SESSIONS).where(*_of_attempts(SESSIONS), ~_GOES_ON_ELSEWHERE))
"""By itself it never takes the row of a session that goes on: who has it then has been there before that row."""
DELETE_WINDOW = Statement(delete(WINDOWS).where(WINDOWS.c.session_id == bindparam("session_id")))
DELETE_COUNTS = Statement(
    delete(TALLIES).where(*_of_attempts(TALLIES), TALLIES.c.at_ms < bindparam("requested_ms"))
)
DELETE_IMAGES = _delete_some(IMAGES)
DELETE_BATCHES = _delete_some(BATCHES)
COMPLETE = Statement(
    delete(DELETIONS).where(
        DELETIONS.c.session_id == bindparam("session_id"),
        DELETIONS.c.attempt == bindparam("attempt"),
        DELETIONS.c.requested_ms == bindparam("requested_ms"),
    )
)
PENDING = Statement(
    select(
        *(DELETIONS.c.session_id, DELETIONS.c.images),
        *(DELETIONS.c.requested_ms, DELETIONS.c.attempt),
    ).order_by(DELETIONS.c.requested_ms)
)

SESSION = SESSIONS.c
_archived = (
    select(SESSION.session_id, SESSION.attempt)
    .where(SESSION.ended_ms > 0)
    .order_by(SESSION.updated_ms)
    .limit(LIMIT)
)
ARCHIVED = Statement(_archived)
ARCHIVED_BEFORE = Statement(_archived.where(SESSION.updated_ms < bindparam("before_ms")))
COUNT_ARCHIVED = Statement(select(func.count()).select_from(SESSIONS).where(SESSION.ended_ms > 0))
COUNT_ATTEMPTS = Statement(
    select(func.count()).select_from(SESSIONS).where(SESSION.session_id == bindparam("session_id"))
)

_KEPT: BindParameter[int] = bindparam("kept", type_=WHOLE)
_counted = SESSIONS.alias("counted")
_placed = (
    select(
        SESSION.session_id,
        SESSION.attempt,
        func.row_number()
        .over(partition_by=SESSION.session_id, order_by=SESSION.attempt.desc())
        .label("place"),
    )
    .where(
        SESSION.session_id.in_(
            select(_counted.c.session_id)
            .group_by(_counted.c.session_id)
            .having(func.count() > _KEPT)
        )
    )
    .subquery("placed")
)
ATTEMPTS_BEYOND = Statement(
    select(_placed.c.session_id, _placed.c.attempt)
    .where(_placed.c.place > _KEPT)
    .order_by(_placed.c.session_id, _placed.c.attempt)
    .limit(LIMIT)
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
    def rows(self) -> dict[str, object]:
        """The parameters of statements about the rows to delete."""
        is_whole = self.attempt == ALL_ATTEMPTS
        return {
            "session_id": self.session_id,
            "first_attempt": 0 if is_whole else self.attempt,
            "last_attempt": LAST_ATTEMPT if is_whole else self.attempt,
            "requested_ms": self.requested_ms,
        }

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


def put_deletion(transaction: Transaction, deletion: Deletion, bridge_id: str = "") -> bool:
    """Delete a session itself, and record that the rest of it is to follow.

    False: another bridge than this one has it in memory, so that it goes on; nothing of it was deleted. Where bridges
    share the database, it counts as requested now by the clock of that: one whose own is fast or slow would delete what
    comes later, or leave what came before.
    """
    if bridge_id:
        [[now_ms]] = transaction.query(NOW)
        deletion = replace(deletion, requested_ms=now_ms)
    which = {**deletion.rows, "bridge": bridge_id}
    del which["requested_ms"]
    if transaction.query(GOES_ON_ELSEWHERE, which):
        return False
    transaction.execute(DELETE_SESSION, which)
    if deletion.attempt == ALL_ATTEMPTS:
        transaction.execute(DELETE_WINDOW, {"session_id": deletion.session_id})
    transaction.execute(
        PUT,
        {
            "session_id": deletion.session_id,
            "attempt": deletion.attempt,
            "images": int(deletion.images),
            "requested_ms": deletion.requested_ms,
        },
    )
    return True


def pending_deletions(database: Database) -> list[Deletion]:
    """Return the deletions that have not been completed, oldest first."""
    return [
        Deletion(name, ImageScope(images), at_ms, number)
        for name, images, at_ms, number in database.query(PENDING)
    ]


def archived_before(database: Database, before_ms: int, limit: int) -> list[Archived]:
    """Return the attempts out of memory that were last heard of before a time, the oldest first."""
    rows = database.query(ARCHIVED_BEFORE, {"before_ms": before_ms, "limit": limit})
    return [Archived(*row) for row in rows]


def archived_beyond(database: Database, kept: int, limit: int) -> list[Archived]:
    """Return the attempts out of memory that are more than so many, the oldest first."""
    [[count]] = database.query(COUNT_ARCHIVED)
    surplus = min(limit, count - kept)
    rows = database.query(ARCHIVED, {"limit": surplus}) if surplus > 0 else []
    return [Archived(*row) for row in rows]


def attempts_beyond(database: Database, kept: int, limit: int) -> list[Archived]:
    """Return the attempts of each session that are more than so many, the oldest of it first."""
    rows = database.query(ATTEMPTS_BEYOND, {"kept": kept, "limit": limit})
    return [Archived(*row) for row in rows]


def whole_sessions(database: Database, found: Iterable[Archived]) -> list[Archived]:
    """Return the same attempts, with one entry for a session of which all are among them.

    A session that goes whole takes along what the index has of it without a row for it.
    """
    by_session: dict[str, list[Archived]] = {}
    for one in found:
        by_session.setdefault(one.session_id, []).append(one)
    result: list[Archived] = []
    for name, attempts in by_session.items():
        [[kept]] = database.query(COUNT_ATTEMPTS, {"session_id": name})
        result += [Archived(name, ALL_ATTEMPTS)] if kept == len(attempts) else attempts
    return result


def covered_shards(database: Database, deletion: Deletion) -> list[Shard]:
    """Return the shards that a deletion is about."""
    shards = shards_of_session(database, deletion.session_id)
    return [shard for shard in shards if deletion.covers_shard(shard)]


def delete_some_rows(transaction: Transaction, deletion: Deletion) -> int:
    """Delete some rows of the image index, and return how many; 0: none are left."""
    parameters = {**deletion.rows, "limit": ROWS_PER_STEP}
    deleted = transaction.execute(DELETE_IMAGES, parameters).rowcount
    return deleted or transaction.execute(DELETE_BATCHES, parameters).rowcount


def complete_deletion(transaction: Transaction, deletion: Deletion) -> None:
    """Delete the last that is left of a session, and the record of its deletion."""
    transaction.execute(DELETE_COUNTS, deletion.rows)
    transaction.execute(COMPLETE, {**deletion.rows, "attempt": deletion.attempt})
