"""The rows of the journal, and the checkpoints of sessions."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from bridge.errors import StorageError
from bridge.storage.database import Database, Row
from bridge.storage.image_counts import ReadCounts, counts_of
from bridge.storage.transaction import Transaction

PUT_GROUP = "INSERT OR REPLACE INTO journal (number, entries) VALUES (?, ?)"
LAST_SEEN = (
    "UPDATE sessions SET updated_ms = max(updated_ms, ?) WHERE session_id = ? AND attempt = ?"
)
NUMBERS_END = 10**18
"""Far above any group's number: one that reaches it is damaged, and must leave room for the next groups."""

TRIM = "DELETE FROM journal WHERE number < ? OR number >= ?"
COLUMNS = "session_id, attempt, registered_ms, updated_ms, ended_ms, through, state"
PUT_SESSION = f"INSERT OR REPLACE INTO sessions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- a constant
SELECT = f"SELECT {COLUMNS} FROM sessions AS one"  # noqa: S608 -- a constant
SELECT_ENTRIES = (
    "SELECT session_id, registered_ms, updated_ms, through, attempt FROM sessions AS one"
)
IS_NEWEST = (
    "NOT EXISTS (SELECT 1 FROM sessions AS newer"
    " WHERE newer.session_id = one.session_id AND newer.attempt > one.attempt)"
)

LAST_MS = 2**63 - 1024
"""The last time that is both a float and an SQLite integer."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An attempt of a session as it stood when the group `applied_through` had been applied."""

    session_id: str
    attempt: int
    registered_ms: int
    updated_ms: int
    ended_ms: int
    """0 while the bridge holds the session in memory: it is live, or lingers after its end."""
    applied_through: int
    state: bytes
    journal: str = ""
    """The bridge whose groups are meant; "": no other bridge has this database."""


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """That there is a checkpoint of an attempt, and as of when; another one differs in its times or its group."""

    session_id: str
    registered_ms: int
    updated_ms: int
    applied_through: int
    attempt: int = 1


class JournalRows:
    """Groups of records in order, and at most one checkpoint of each attempt of a session."""

    def __init__(self, database: Database) -> None:
        """Read and write `database`."""
        self._database = database

    def put(
        self, transaction: Transaction, number: int, records: bytes, sessions: Collection[str] = ()
    ) -> None:
        """Write the records of one commit, which are of these sessions.

        Raises StorageError where the row cannot be written: what it holds must not be acknowledged, so the
        transaction must not go on without it.
        """
        del sessions
        if number >= NUMBERS_END:
            raise StorageError(f"the journal has run out of numbers at {number}")
        if transaction.execute(PUT_GROUP, (number, records)).rowcount != 1:
            raise StorageError(f"the database cannot hold group {number} of the journal")

    def put_checkpoints(self, transaction: Transaction, checkpoints: Sequence[Checkpoint]) -> bool:
        """Write checkpoints, each replacing the attempt's last; False: the database cannot hold one of them."""
        rows = [
            (
                *(c.session_id, c.attempt, c.registered_ms, c.updated_ms, c.ended_ms),
                *(c.applied_through, c.state),
            )
            for c in checkpoints
        ]
        written = [transaction.execute(PUT_SESSION, row).rowcount for row in rows]
        return sum(written) == len(rows)

    def put_last_seen(
        self, transaction: Transaction, last_seen: Sequence[tuple[float, str, int]]
    ) -> None:
        """Write when attempts of sessions were last seen, in seconds since 1970."""
        rows = [(milliseconds(at), session_id, attempt) for at, session_id, attempt in last_seen]
        transaction.executemany(LAST_SEEN, rows)

    def trim(self, transaction: Transaction, below: int) -> None:
        """Delete the groups below a number, all included in checkpoints, and those whose number is damaged."""
        transaction.execute(TRIM, (below, NUMBERS_END))

    def groups(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and records of each group, oldest first, but for those whose number is damaged."""
        number = 0
        while rows := self._database.query(
            "SELECT number, entries FROM journal WHERE number > ? AND number < ?"
            " ORDER BY number LIMIT 256",
            (number, NUMBERS_END),
        ):
            yield from rows
            number = rows[-1][0]

    def last_number(self) -> int:
        """Return the highest number ever given to a group or a checkpoint, 0 before the first.

        Damaged numbers are ignored.
        """
        [[group]] = self._database.query(
            "SELECT max(number) FROM journal WHERE number < ?", (NUMBERS_END,)
        )
        [[checkpoint]] = self._database.query(
            "SELECT max(through) FROM sessions WHERE typeof(through) = 'integer' AND through < ?",
            (NUMBERS_END,),
        )
        return max(group or 0, checkpoint or 0, 0)

    def misplaced(self) -> int:
        """Count the groups whose number is damaged, so that their place in the order is lost."""
        [[count]] = self._database.query(
            "SELECT count(*) FROM journal WHERE number <= 0 OR number >= ?", (NUMBERS_END,)
        )
        return int(count)

    def images(self, session_id: str, attempt: int) -> ReadCounts:
        """Return what became of the images of a session attempt."""
        return counts_of(self._database, session_id, attempt)

    def find(self, session_id: str, attempt: int | None = None) -> Checkpoint | None:
        """Return the checkpoint of an attempt of a session, of its newest by default; None where there is none."""
        sql = (
            f"{SELECT} WHERE session_id = ?1 AND (?2 IS NULL OR attempt = ?2)"
            " ORDER BY attempt DESC LIMIT 1"
        )
        rows = self._database.query(sql, (session_id, attempt))
        return _checkpoint(rows[0]) if rows else None

    def entries(self, limit: int) -> list[CheckpointEntry]:
        """Return which checkpoints there are of the latest registrations, newest first: one of each session."""
        sql = f"{SELECT_ENTRIES} WHERE {IS_NEWEST} ORDER BY registered_ms DESC LIMIT ?"
        return [CheckpointEntry(*row) for row in self._database.query(sql, (limit,))]

    def attempts(self, session_id: str) -> list[CheckpointEntry]:
        """Return which checkpoints there are of a session, the oldest attempt first."""
        sql = f"{SELECT_ENTRIES} WHERE session_id = ? ORDER BY attempt"
        return [CheckpointEntry(*row) for row in self._database.query(sql, (session_id,))]

    def unfinished(self, ended_after_ms: int, limit: int) -> list[Checkpoint]:
        """Return the checkpoints of sessions that were held in memory, the oldest registration first.

        Older versions wrote the end of a session while it lingered, so that those with a later end count too.
        Of each session it is the newest attempt.
        """
        sql = (
            f"{SELECT} WHERE (ended_ms = 0 OR ended_ms > ?) AND {IS_NEWEST}"
            " ORDER BY registered_ms DESC LIMIT ?"
        )
        rows = self._database.query(sql, (ended_after_ms, limit))
        return [_checkpoint(row) for row in reversed(rows)]


def milliseconds(seconds: float) -> int:
    """Return a time as the database can hold it, whatever the clock said."""
    return int(min(seconds * 1000, LAST_MS)) if seconds > 0 else 0


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(*row)
