"""Brings sessions back to where they were when the bridge stopped, however it stopped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.errors import StorageError
from bridge.lifecycle import (
    Absent,
    AlertReceived,
    CommandQueued,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Event,
    Expired,
    Registered,
    SentElsewhere,
)
from bridge.session import Session
from bridge.sinks import Replayer
from bridge.sinks.journal.archive import SUPERSEDED, session_of
from bridge.sinks.journal.records import VERSION, JournalRecord, decode
from bridge.storage import image_counts
from bridge.storage.journal import NUMBERS_END, Checkpoint, JournalRows
from bridge.storage.packed import unpacked
from bridge.telemetry import Telemetry

NUMBERS = (
    *("epoch", "index", "number", "batch", "sample_count", "invalid_images", "images_received"),
    *("first_skipped", "last_skipped", "tokens", "starts_at", "ends_at"),
)
"""Attributes that are numbers in every event that has them."""

OPTIONAL_NUMBERS = (
    *("loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate"),
    *("step", "batches"),
)
"""Attributes that are numbers, or None where they were not reported."""

OBSERVED = (
    *(Connected, Disconnected, Absent, SentElsewhere),
    *(CommandQueued, CommandSent, AlertReceived, Ended, Expired),
)
"""Events that the bridge itself observes: they are not a sign of life of the client."""


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
    run = _Replay(rows, sinks, telemetry)
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
    sinks: Sequence[Replayer]
    telemetry: Telemetry
    sessions: dict[str, Session] = field(default_factory=dict)
    applied_through: dict[str, int] = field(default_factory=dict)
    """The last group that the checkpoint of each session includes; -1: it has no checkpoint."""

    def load(self, checkpoint: Checkpoint) -> None:
        """Restore a session as its checkpoint has it."""
        self.applied_through[checkpoint.session_id] = -1
        try:
            session = session_of(checkpoint)
        except (StorageError, ValueError, TypeError) as error:
            self._count_damaged("session", error)
            return
        if session.restored_state.get(SUPERSEDED):
            # The attempt that followed it is deleted, though its records may still be in the journal.
            self.applied_through[session.id] = NUMBERS_END
            return
        self.applied_through[session.id] = checkpoint.applied_through
        images = self.rows.images(session.id, session.attempt)
        if images.damaged:
            self.telemetry.dropped("image_count", "damaged", images.damaged)
        session.restored_state[image_counts.RESTORED_KEY] = images.counts
        self.sessions[session.id] = session
        self._replay_to_sinks(session, Registered(), session.updated_at)

    def apply_group(self, number: int, data: bytes) -> int:
        """Apply the records of a group to sessions older than it; return how many it holds."""
        count = 0
        for record in self._records(number, data):
            count += 1
            session = self._session(record.session_id)
            if session is not None and number > self.applied_through[session.id]:
                self._apply(session, record)
        return count

    def _records(self, number: int, data: bytes) -> Iterator[JournalRecord]:
        try:
            rows = _rows(number, data)
        except (StorageError, TypeError, ValueError) as error:
            self._count_damaged("group", error)
            return
        for row in rows:
            try:
                record = decode(row)
                _check(record)
            except Exception as error:  # noqa: BLE001 -- a row may hold anything; the others are applied
                self._count_damaged("entry", error)
            else:
                yield record

    def _session(self, session_id: str) -> Session | None:
        """Return a session with records, though it ended long ago; None for one that expired or is damaged."""
        if session_id not in self.applied_through:
            self.applied_through[session_id] = -1
            checkpoint = self.rows.find(session_id)
            if checkpoint is not None:
                self.load(checkpoint)
        return self.sessions.get(session_id)

    def _apply(self, session: Session, record: JournalRecord) -> None:
        event = record.event
        session.accepted = session.committed = max(session.accepted, record.sequence)
        if not isinstance(event, OBSERVED):
            session.updated_at = max(session.updated_at, record.received)
        self._replay_to_sinks(session, event, record.received)
        try:
            session.apply(event, record.received)
        except Exception as error:  # noqa: BLE001 -- a row of wrong types; the others are applied
            self._count_damaged("entry", error)
        if isinstance(event, Expired):
            del self.sessions[session.id]

    def _replay_to_sinks(self, session: Session, event: Event, received: float) -> None:
        """Replay an event to every sink; one that fails costs no other sink, and no session its start."""
        for sink in self.sinks:
            try:
                sink.replay(session, event, received)
            except Exception as error:  # noqa: BLE001 -- see above
                self._count_damaged("entry", error)

    def _count_damaged(self, what: str, error: Exception) -> None:
        self.telemetry.unexpected_error("replay", error)
        self.telemetry.dropped(what, "damaged")


def _rows(number: int, data: bytes) -> list[Any]:
    version, rows = unpacked(data)
    if not isinstance(rows, list):
        raise StorageError(f"group {number} holds no rows")
    if version > VERSION:
        raise StorageError(f"group {number} was written by a newer version")
    return rows


def _check(record: JournalRecord) -> None:
    """Raise TypeError for a record that no bridge writes: its values would stay in the session for good."""
    event = record.event
    numbers = [record.sequence, record.received, *(getattr(event, name, 0) for name in NUMBERS)]
    optional = [getattr(event, name, None) for name in OPTIONAL_NUMBERS]
    numbers += [number for number in optional if number is not None]
    is_sound = all(isinstance(number, (int, float)) for number in numbers)
    if not is_sound or not isinstance(record.session_id, str):
        raise TypeError("not a record of a session")
