"""Brings sessions back to where they were when the bridge stopped, however it stopped."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.errors import StorageError
from bridge.lifecycle import Expired
from bridge.session import Session
from bridge.sinks import Replayer
from bridge.sinks.journal.archive import SUPERSEDED, session_of
from bridge.sinks.journal.records import JournalRecord
from bridge.sinks.journal.restoration import Restoration
from bridge.storage.journal import NUMBERS_END, Checkpoint, JournalRows
from bridge.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the journal held."""

    sessions: tuple[Session, ...]
    """As they stood, the oldest registration first; some are marked as connected."""
    groups: tuple[tuple[int, int], ...]
    """Number and length of each group."""


def replay(
    rows: JournalRows,
    sinks: Sequence[Replayer],
    telemetry: Telemetry,
    *,
    ended_after_ms: int,
    limit: int,
) -> Replayed:
    """Return the sessions that live or ended after a moment, restored in `sinks` too.

    What is damaged is counted, logged and left out; the rest is restored.
    """
    run = _Replay(rows, Restoration(sinks, telemetry))
    for checkpoint in rows.unfinished(ended_after_ms, limit):
        run.load(checkpoint)
    misplaced = rows.misplaced()
    if misplaced:
        telemetry.dropped("group", "damaged", misplaced)
    groups = tuple((number, run.apply_group(number, data)) for number, data in rows.groups())
    return Replayed(tuple(run.sessions.values()), groups)


@dataclass(slots=True)
class _Replay:
    """What is known while the journal is read."""

    rows: JournalRows
    restoration: Restoration
    sessions: dict[str, Session] = field(default_factory=dict)
    applied_through: dict[str, int] = field(default_factory=dict)
    """The last group that the checkpoint of each session includes; -1: it has no checkpoint."""

    def load(self, checkpoint: Checkpoint) -> None:
        """Restore a session as its checkpoint has it."""
        self.applied_through[checkpoint.session_id] = -1
        try:
            session = session_of(checkpoint)
        except (StorageError, ValueError, TypeError) as error:
            self.restoration.count_damaged("session", error)
            return
        if session.restored_state.get(SUPERSEDED):
            # The attempt that followed it is deleted, though its records may still be in the journal.
            self.applied_through[session.id] = NUMBERS_END
            return
        self.applied_through[session.id] = checkpoint.applied_through
        self.sessions[session.id] = session
        self.restoration.begin(session, self.rows.images(session.id, session.attempt))

    def apply_group(self, number: int, data: bytes) -> int:
        """Apply the records of a group to sessions older than it; return how many it holds."""
        count = 0
        for record in self.restoration.records(number, data):
            count += 1
            session = self._session(record.session_id)
            if session is not None and number > self.applied_through[session.id]:
                self._apply(session, record)
        return count

    def _session(self, session_id: str) -> Session | None:
        """Return a session with records, though it ended long ago; None for one that expired or is damaged."""
        if session_id not in self.applied_through:
            self.applied_through[session_id] = -1
            checkpoint = self.rows.find(session_id)
            if checkpoint is not None:
                self.load(checkpoint)
        return self.sessions.get(session_id)

    def _apply(self, session: Session, record: JournalRecord) -> None:
        self.restoration.apply(session, record)
        if isinstance(record.event, Expired):
            del self.sessions[session.id]
