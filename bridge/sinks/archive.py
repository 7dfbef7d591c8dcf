"""Keep what is known of each session in the database, for after a restart and after its linger."""

import json
from dataclasses import dataclass

from bridge.model import (
    Batch,
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Epoch,
    Event,
    Forgotten,
    Heartbeat,
    Registered,
    StatusChange,
)
from bridge.sessions import Session
from bridge.storage.database import Database, Row, Transaction

SNAPSHOT_SECONDS = 15.0
"""A session that only streams batches is written whole this often; its sequence with every commit."""

SNAPSHOTS_PER_COMMIT = 20
"""More would hold the event loop for too long; the others follow with the next commits.

New sessions do not count: without a row there is nothing that could keep their sequence.
"""

TELLING = (
    Registered,
    Connected,
    Disconnected,
    StatusChange,
    Epoch,
    CommandSent,
    CommandAnswered,
    Ended,
)
"""After these a session is written whole at once."""

UPSERT = (
    "INSERT OR REPLACE INTO sessions (session_id, registered_ms, updated_ms, sequence, state)"
    " VALUES (?, ?, ?, ?, ?)"
)
ADVANCE = "UPDATE sessions SET sequence = ?, updated_ms = ? WHERE session_id = ?"


class Archive:
    """A durable sink of session states, and the way to read them back."""

    def __init__(self, database: Database) -> None:
        """Keep sessions in the database given."""
        self._database = database
        self._touched: dict[str, Session] = {}
        self._due: dict[str, Session] = {}
        self._written_at: dict[str, float] = {}
        self._rows: set[str] = set()
        self._most = SNAPSHOTS_PER_COMMIT

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Note that a session has changed."""
        kind = type(event)
        if kind is Heartbeat:
            return
        if kind is Forgotten:
            self._written_at.pop(session.id, None)
            self._rows.discard(session.id)
            return
        self._touched[session.id] = session
        if kind is not Batch and isinstance(event, TELLING):
            self._due[session.id] = session
        elif received - self._written_at.get(session.id, 0.0) >= SNAPSHOT_SECONDS:
            self._due[session.id] = session
            self._written_at[session.id] = received

    def settle(self) -> None:
        """Write everything with the next commit, which is the last one."""
        self._due |= self._touched
        self._most = len(self._due)

    def take(self) -> "ArchiveWork | None":
        """Hand over the sessions that have changed."""
        if not self._touched and not self._due:
            return None
        new = [session_id for session_id in self._due if session_id not in self._rows]
        known = [session_id for session_id in self._due if session_id in self._rows]
        whole = [self._due.pop(session_id) for session_id in (*new, *known[: self._most])]
        self._rows.update(new)
        touched, self._touched = self._touched, {}
        for session in whole:
            touched.pop(session.id, None)
        return ArchiveWork(
            sessions=tuple((session, session.accepted) for session in (*whole, *touched.values())),
            snapshots=tuple(_row(session) for session in whole),
            advances=tuple(
                (session.accepted, _ms(session.updated_at), session.id)
                for session in touched.values()
            ),
        )

    def find(self, session_id: str) -> Session | None:
        """Return the last attempt of a session as it was last written, or None."""
        rows = self._database.query(
            "SELECT state, sequence FROM sessions WHERE session_id = ?", (session_id,)
        )
        return _session(rows[0]) if rows else None

    def recent(self, limit: int) -> list[Session]:
        """Return the sessions registered last, newest first."""
        sql = "SELECT state, sequence FROM sessions ORDER BY registered_ms DESC LIMIT ?"
        return [_session(row) for row in self._database.query(sql, (limit,))]


@dataclass(frozen=True, slots=True)
class ArchiveWork:
    """The sessions of one commit."""

    sessions: tuple[tuple[Session, int], ...]
    snapshots: tuple[tuple[object, ...], ...]
    advances: tuple[tuple[object, ...], ...]

    def write(self, transaction: Transaction) -> None:
        """Write them."""
        transaction.executemany(UPSERT, self.snapshots)
        transaction.executemany(ADVANCE, self.advances)

    def done(self) -> None:
        """Tell each session how far it is on disk."""
        for session, sequence in self.sessions:
            session.committed = max(session.committed, sequence)


def _row(session: Session) -> tuple[object, ...]:
    state = json.dumps(session.snapshot(), separators=(",", ":"))
    return (
        session.id,
        _ms(session.registered_at),
        _ms(session.updated_at),
        session.accepted,
        state,
    )


def _session(row: Row) -> Session:
    session = Session.restored(json.loads(row[0]))
    session.accepted = session.committed = row[1]
    return session


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
