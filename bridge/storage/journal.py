"""The rows of the journal, and the sessions as they stood at some place in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.errors import StorageError
from bridge.storage.database import Database, Row, Transaction
from bridge.storage.image_counts import ReadCounts, counts_of

PUT_GROUP = "INSERT OR REPLACE INTO journal (number, entries) VALUES (?, ?)"
LAST_SEEN = "UPDATE sessions SET updated_ms = max(updated_ms, ?) WHERE session_id = ?"
NUMBERS_END = 10**18
"""No number of a group comes near it: one that is there is damaged, and the next ones must have room."""

TRIM = "DELETE FROM journal WHERE number < ? OR number >= ?"
PUT_SESSION = (
    "INSERT OR REPLACE INTO sessions (session_id, registered_ms, updated_ms, ended_ms, through, state)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
COLUMNS = "session_id, registered_ms, updated_ms, ended_ms, through, state"


LAST_MS = 2**63 - 1024
"""The last moment that is a float and an SQLite integer."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A session as it stood when the group `through` had been applied."""

    session_id: str
    registered_ms: int
    updated_ms: int
    ended_ms: int
    """0 while the bridge holds the session in memory: it lives, or lingers after its end."""
    through: int
    state: bytes


class JournalRows:
    """Groups of entries in order, and at most one checkpoint a session."""

    def __init__(self, database: Database) -> None:
        """Use the database given."""
        self._database = database

    def put(self, transaction: Transaction, number: int, entries: bytes) -> None:
        """Write the entries of one commit.

        Raises StorageError where the row cannot be written: what it holds must not be acknowledged, so that
        no transaction may go on without it.
        """
        if number >= NUMBERS_END:
            raise StorageError(f"the numbers of the journal have come to an end at {number}")
        if transaction.execute(PUT_GROUP, (number, entries)).rowcount != 1:
            raise StorageError(f"the database cannot hold group {number} of the journal")

    def put_checkpoints(self, transaction: Transaction, checkpoints: Sequence[Checkpoint]) -> bool:
        """Write sessions, each over its last checkpoint; False: the database cannot hold one of them."""
        rows = [
            (c.session_id, c.registered_ms, c.updated_ms, c.ended_ms, c.through, c.state)
            for c in checkpoints
        ]
        written = [transaction.execute(PUT_SESSION, row).rowcount for row in rows]
        return sum(written) == len(rows)

    def put_last_seen(
        self, transaction: Transaction, last_seen: Sequence[tuple[float, str]]
    ) -> None:
        """Note when sessions were last_seen of, in seconds since 1970."""
        rows = [(milliseconds(at), session_id) for at, session_id in last_seen]
        transaction.executemany(LAST_SEEN, rows)

    def trim(self, transaction: Transaction, below: int) -> None:
        """Delete the groups before `below`, which every session's checkpoint includes."""
        transaction.execute(TRIM, (below, NUMBERS_END))

    def groups(self) -> Iterator[tuple[int, bytes]]:
        """Yield what is there, oldest first, but for groups whose number is damaged."""
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

        Numbers that are damaged count for nothing.
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
        """Count the groups whose number is damaged, so that nobody knows their place."""
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

    def recent(self, limit: int) -> list[Checkpoint]:
        """Return the sessions registered last, newest first."""
        sql = f"SELECT {COLUMNS} FROM sessions ORDER BY registered_ms DESC LIMIT ?"  # noqa: S608 -- a constant
        return [_checkpoint(row) for row in self._database.query(sql, (limit,))]

    def unfinished(self, ended_after_ms: int, limit: int) -> list[Checkpoint]:
        """Return the sessions that were held in memory; the oldest registration first.

        Versions before wrote the end of a session while it lingered: those that ended after a moment count.
        """
        sql = (
            f"SELECT {COLUMNS} FROM sessions WHERE ended_ms = 0 OR ended_ms > ?"  # noqa: S608 -- a constant
            " ORDER BY registered_ms DESC LIMIT ?"
        )
        rows = self._database.query(sql, (ended_after_ms, limit))
        return [_checkpoint(row) for row in reversed(rows)]


def milliseconds(seconds: float) -> int:
    """Return a moment as the database can hold it, whatever a clock has said."""
    return int(min(seconds * 1000, LAST_MS)) if seconds > 0 else 0


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(*row)
