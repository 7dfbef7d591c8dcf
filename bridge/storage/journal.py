"""The rows of the journal, and the checkpoints of sessions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.errors import StorageError
from bridge.storage.database import Database, Row
from bridge.storage.image_counts import ReadCounts, counts_of
from bridge.storage.transaction import Transaction

PUT_GROUP = "INSERT OR REPLACE INTO journal (number, entries) VALUES (?, ?)"
LAST_SEEN = "UPDATE sessions SET updated_ms = max(updated_ms, ?) WHERE session_id = ?"
NUMBERS_END = 10**18
"""Far above any group's number: one that reaches it is damaged, and must leave room for the next groups."""

TRIM = "DELETE FROM journal WHERE number < ? OR number >= ?"
PUT_SESSION = (
    "INSERT OR REPLACE INTO sessions (session_id, registered_ms, updated_ms, ended_ms, through, state)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
COLUMNS = "session_id, registered_ms, updated_ms, ended_ms, through, state"


LAST_MS = 2**63 - 1024
"""The last time that is both a float and an SQLite integer."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A session as it stood when the group `applied_through` had been applied."""

    session_id: str
    registered_ms: int
    updated_ms: int
    ended_ms: int
    """0 while the bridge holds the session in memory: it is live, or lingers after its end."""
    applied_through: int
    state: bytes


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """That there is a checkpoint of a session, and as of when; another one differs in its times or its group."""

    session_id: str
    registered_ms: int
    updated_ms: int
    applied_through: int


class JournalRows:
    """Groups of records in order, and at most one checkpoint per session."""

    def __init__(self, database: Database) -> None:
        """Read and write `database`."""
        self._database = database

    def put(self, transaction: Transaction, number: int, records: bytes) -> None:
        """Write the records of one commit.

        Raises StorageError where the row cannot be written: what it holds must not be acknowledged, so the
        transaction must not go on without it.
        """
        if number >= NUMBERS_END:
            raise StorageError(f"the journal has run out of numbers at {number}")
        if transaction.execute(PUT_GROUP, (number, records)).rowcount != 1:
            raise StorageError(f"the database cannot hold group {number} of the journal")

    def put_checkpoints(self, transaction: Transaction, checkpoints: Sequence[Checkpoint]) -> bool:
        """Write checkpoints, each replacing the session's last; False: the database cannot hold one of them."""
        rows = [
            (c.session_id, c.registered_ms, c.updated_ms, c.ended_ms, c.applied_through, c.state)
            for c in checkpoints
        ]
        written = [transaction.execute(PUT_SESSION, row).rowcount for row in rows]
        return sum(written) == len(rows)

    def put_last_seen(
        self, transaction: Transaction, last_seen: Sequence[tuple[float, str]]
    ) -> None:
        """Write when sessions were last seen, in seconds since 1970."""
        rows = [(milliseconds(at), session_id) for at, session_id in last_seen]
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

    def find(self, session_id: str) -> Checkpoint | None:
        """Return the checkpoint of a session, or None."""
        sql = f"SELECT {COLUMNS} FROM sessions WHERE session_id = ?"  # noqa: S608 -- a constant
        rows = self._database.query(sql, (session_id,))
        return _checkpoint(rows[0]) if rows else None

    def entries(self, limit: int) -> list[CheckpointEntry]:
        """Return which checkpoints there are of the latest registrations, newest first."""
        sql = (
            "SELECT session_id, registered_ms, updated_ms, through FROM sessions"
            " ORDER BY registered_ms DESC LIMIT ?"
        )
        return [CheckpointEntry(*row) for row in self._database.query(sql, (limit,))]

    def unfinished(self, ended_after_ms: int, limit: int) -> list[Checkpoint]:
        """Return the checkpoints of sessions that were held in memory, the oldest registration first.

        Older versions wrote the end of a session while it lingered, so that those with a later end count too.
        """
        sql = (
            f"SELECT {COLUMNS} FROM sessions WHERE ended_ms = 0 OR ended_ms > ?"  # noqa: S608 -- a constant
            " ORDER BY registered_ms DESC LIMIT ?"
        )
        rows = self._database.query(sql, (ended_after_ms, limit))
        return [_checkpoint(row) for row in reversed(rows)]


def milliseconds(seconds: float) -> int:
    """Return a time as the database can hold it, whatever the clock said."""
    return int(min(seconds * 1000, LAST_MS)) if seconds > 0 else 0


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(*row)
