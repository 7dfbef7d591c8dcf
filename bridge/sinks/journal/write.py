"""The records and checkpoints of one commit, on their way to the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bridge.session import Session
from bridge.sinks.journal.archive import SUPERSEDED, checkpoint_of
from bridge.sinks.journal.records import VERSION, JournalRecord, encode
from bridge.storage.journal import Checkpoint, JournalRows
from bridge.storage.packed import packed
from bridge.storage.transaction import Transaction
from bridge.telemetry import Telemetry

SessionState = tuple[Session, dict[str, Any]]
"""A session, and what a checkpoint holds of it."""


class WrittenJournal(Protocol):
    """The journal that a commit writes."""

    def has_left_with(self, session: Session, state: dict[str, Any]) -> bool:
        """Return whether this is the state that a session left memory with."""

    def never_trim(self) -> None:
        """Keep all groups from now on: a checkpoint could not be written, so its session needs all of its records."""

    @property
    def trims(self) -> bool:
        """Whether groups may be deleted."""

    def on_written(self, write: "JournalWrite") -> None:
        """Let go of what is on disk now."""


@dataclass(slots=True)
class JournalWrite:
    """The records and checkpoints of one commit."""

    journal: WrittenJournal
    rows: JournalRows
    telemetry: Telemetry
    number: int
    records: list[JournalRecord]
    states: list[SessionState]
    superseded: list[SessionState]
    last_seen: list[tuple[float, str, int]]
    trim_below: int
    sequences: list[tuple[Session, int]]
    """How far each session is when this is on disk."""
    here: frozenset[str] = frozenset()
    """Sessions in memory that have a checkpoint from here, in this commit at the latest."""
    packed_records: bytes = b""
    lost: int = 0
    checkpoints: list[Checkpoint] | None = None
    moved: set[str] = field(default_factory=set)
    """Sessions that another bridge has taken: nothing of them was written."""

    def write(self, transaction: Transaction) -> None:
        """Write them; what was packed for a commit that failed is used again."""
        if self.checkpoints is None:
            self._pack()
        if transaction.owned is not None:
            self._leave_out_moved(transaction)
        if self.packed_records:
            names = (record.session_id for record in self.records)
            self.rows.put(transaction, self.number, self.packed_records, names)
        if not self.rows.put_checkpoints(transaction, self.checkpoints or ()):
            self.journal.never_trim()
        self.rows.put_last_seen(transaction, self.last_seen)
        if self.trim_below and self.journal.trims:
            self.rows.trim(transaction, self.trim_below, self.here)

    def on_committed(self) -> None:
        """Advance each session to what is on disk, and let go of those that have left memory."""
        for session, sequence in self.sequences:
            if session.id not in self.moved:
                session.committed = max(session.committed, sequence)
        self.journal.on_written(self)
        if self.lost:
            self.telemetry.dropped("entry", "unwritable", self.lost)

    def _pack(self) -> None:
        self.packed_records, self.lost = _pack_records(self.records) if self.records else (b"", 0)
        self.checkpoints = []
        for session, state in (*self.superseded, *self.states):
            is_held = not (SUPERSEDED in state or self.journal.has_left_with(session, state))
            try:
                self.checkpoints.append(checkpoint_of(session, self.number, state, is_held=is_held))
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next try would fail likewise
                self.journal.never_trim()
                self.telemetry.unexpected_error("checkpoint", error)

    def _leave_out_moved(self, transaction: Transaction) -> None:
        """Leave out the sessions that another bridge has taken meanwhile: it has them sent again."""
        named = {record.session_id for record in self.records}
        named |= {one.session_id for one in self.checkpoints or ()}
        named |= {session_id for _, session_id, _ in self.last_seen}
        self.moved |= {session_id for session_id in named if not transaction.owns(session_id)}
        if not self.moved:
            return
        self.records = [one for one in self.records if one.session_id not in self.moved]
        self.checkpoints = [
            one for one in self.checkpoints or () if one.session_id not in self.moved
        ]
        self.last_seen = [one for one in self.last_seen if one[1] not in self.moved]
        self.packed_records, self.lost = _pack_records(self.records) if self.records else (b"", 0)


def _pack_records(records: Sequence[JournalRecord]) -> tuple[bytes, int]:
    """Pack the records, and count those that cannot be: one of them must not stop all commits from then on."""
    try:
        return packed((VERSION, list(map(encode, records)))), 0
    except Exception:  # noqa: BLE001 -- each is tried by itself
        rows = [row for record in records if (row := _encode_alone(record)) is not None]
        return packed((VERSION, rows)), len(records) - len(rows)


def _encode_alone(record: JournalRecord) -> tuple[Any, ...] | None:
    try:
        row = encode(record)
        packed(row)
    except Exception:  # noqa: BLE001 -- counted by the caller
        return None
    return row
