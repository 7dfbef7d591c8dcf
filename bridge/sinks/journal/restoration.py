"""Brings one session to where records of the journal leave it, with all that the sinks know of it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
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
from bridge.sinks.journal.records import VERSION, JournalRecord, decode
from bridge.storage import image_counts
from bridge.storage.image_counts import ReadCounts
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

JournalRow = Sequence[Any]
"""What `decode` takes, or whatever is there in place of it."""

OBSERVED = (
    *(Connected, Disconnected, Absent, SentElsewhere),
    *(CommandQueued, CommandSent, AlertReceived, Ended, Expired),
)
"""Events that the bridge itself observes: they are not a sign of life of the client."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """Applies checkpoints and records; what is damaged is counted, logged and left out."""

    sinks: Sequence[Replayer]
    """Which apply it too; none: only the session itself is wanted."""
    telemetry: Telemetry

    def begin(self, session: Session, images: ReadCounts) -> None:
        """Restore a session as its checkpoint has it, with what became of its images."""
        if images.damaged:
            self.telemetry.dropped("image_count", "damaged", images.damaged)
        session.restored_state[image_counts.RESTORED_KEY] = images.counts
        self._replay_to_sinks(session, Registered(), session.updated_at)

    def apply(self, session: Session, record: JournalRecord) -> None:
        """Apply one record."""
        event = record.event
        session.accepted = session.committed = max(session.accepted, record.sequence)
        if not isinstance(event, OBSERVED):
            session.updated_at = max(session.updated_at, record.received)
        self._replay_to_sinks(session, event, record.received)
        try:
            session.apply(event, record.received)
        except Exception as error:  # noqa: BLE001 -- a row of wrong types; the others are applied
            self.count_damaged("entry", error)

    def records(self, number: int, data: bytes) -> Iterator[JournalRecord]:
        """Yield the records of a group, in order."""
        for row in self._rows(number, data):
            record = self.record(row)
            if record is not None:
                yield record

    def rows_of(self, number: int, data: bytes, sessions: Collection[str]) -> Iterator[JournalRow]:
        """Yield the rows that are records of some sessions, in order, each to be read by `record`."""
        for row in self._rows(number, data):
            try:
                if row[0] in sessions:
                    yield row
            except Exception as error:  # noqa: BLE001 -- a row may hold anything; the others are applied
                self.count_damaged("entry", error)

    def record(self, row: JournalRow) -> JournalRecord | None:
        """Return the record that a row holds; None for one that is damaged."""
        try:
            record = decode(row)
            _check(record)
        except Exception as error:  # noqa: BLE001 -- a row may hold anything; the others are applied
            self.count_damaged("entry", error)
            return None
        return record

    def count_damaged(self, what: str, error: Exception) -> None:
        """Count something that cannot be read."""
        self.telemetry.unexpected_error("replay", error)
        self.telemetry.dropped(what, "damaged")

    def _rows(self, number: int, data: bytes) -> list[Any]:
        try:
            return _rows(number, data)
        except (StorageError, TypeError, ValueError) as error:
            self.count_damaged("group", error)
            return []

    def _replay_to_sinks(self, session: Session, event: Event, received: float) -> None:
        """Replay an event to every sink; one that fails costs no other sink, and no session its start."""
        for sink in self.sinks:
            try:
                sink.replay(session, event, received)
            except Exception as error:  # noqa: BLE001 -- see above
                self.count_damaged("entry", error)


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
