"""Bring sessions back to where they were when the bridge stopped, however it stopped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.errors import StorageError
from bridge.model import (
    CommandAsked,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Event,
    Forgotten,
    Registered,
)
from bridge.session import Session
from bridge.sinks.journal.archive import session_of
from bridge.sinks.journal.records import VERSION, JournalRecord, decode
from bridge.storage import image_counts
from bridge.storage.journal import Checkpoint, JournalRows
from bridge.storage.packed import unpacked
from bridge.telemetry import Telemetry

NUMBERS = (
    *("epoch", "index", "number", "batch", "sample_count", "invalid_images"),
    *("first_skipped", "last_skipped"),
)
"""What is a number wherever an event has it."""

OPTIONAL_NUMBERS = ("loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate")
"""What is a number, or None where it was not reported."""

OBSERVED = (Connected, Disconnected, CommandAsked, CommandSent, Ended, Forgotten)
"""What the bridge itself has observed is no sign of life of a client."""


class Replaying(Protocol):
    """A sink that takes an event in once more."""

    def replay(self, session: Session, event: Event, received: float) -> None:
        """Change as `consume` does, but deliver nothing: that was committed with the event."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was found."""

    sessions: tuple[Session, ...]
    """As they stood, the oldest registration first; some are marked as connected."""
    groups: tuple[tuple[int, int], ...]
    """Number and length of each group in the journal."""


@dataclass(slots=True)
class Stage:
    """What is known while the journal is read."""

    rows: JournalRows
    sinks: Sequence[Replaying]
    telemetry: Telemetry
    sessions: dict[str, Session] = field(default_factory=dict)
    through: dict[str, int] = field(default_factory=dict)
    """Which groups the checkpoint of each session includes already; -1: there is none."""


def replay(
    rows: JournalRows,
    sinks: Sequence[Replaying],
    telemetry: Telemetry,
    *,
    ended_after_ms: int,
    limit: int,
) -> Replayed:
    """Return the sessions that live or ended after a moment, and have `sinks` know of them again.

    What is damaged is counted, told and left out; the rest is taken.
    """
    stage = Stage(rows, sinks, telemetry)
    for checkpoint in rows.unfinished(ended_after_ms, limit):
        _load(checkpoint, stage)
    groups = []
    misplaced = rows.misplaced()
    if misplaced:
        telemetry.dropped("group", "damaged", misplaced)
    for number, data in rows.groups():
        records = 0
        for record in _records(number, data, telemetry):
            records += 1
            _apply(number, record, stage)
        groups.append((number, records))
    return Replayed(tuple(stage.sessions.values()), tuple(groups))


def _load(checkpoint: Checkpoint, stage: Stage) -> None:
    stage.through[checkpoint.session_id] = -1
    try:
        session = session_of(checkpoint)
    except (StorageError, ValueError, TypeError) as error:
        stage.telemetry.unexpected_error("replay", error)
        stage.telemetry.dropped("session", "damaged")
        return
    stage.through[session.id] = checkpoint.through
    images = stage.rows.images(session.id, session.attempt)
    if images.damaged:
        stage.telemetry.dropped("image_count", "damaged", images.damaged)
    session.parts[image_counts.PART] = images.counts
    stage.sessions[session.id] = session
    _replay_to_sinks(session, Registered(), session.updated_at, stage)


def _replay_to_sinks(session: Session, event: Event, received: float, stage: Stage) -> None:
    """Give an event to every sink; one that cannot take it costs no other, and no session its start."""
    for sink in stage.sinks:
        try:
            sink.replay(session, event, received)
        except Exception as error:  # noqa: BLE001 -- see above
            stage.telemetry.unexpected_error("replay", error)
            stage.telemetry.dropped("entry", "damaged")


def _records(number: int, data: bytes, telemetry: Telemetry) -> Iterator[JournalRecord]:
    try:
        version, rows = unpacked(data)
        if not isinstance(rows, list):
            raise StorageError(f"group {number} holds no rows")  # noqa: TRY301
        if version > VERSION:
            raise StorageError(f"group {number} was written by a newer version")  # noqa: TRY301
    except (StorageError, TypeError, ValueError) as error:
        telemetry.unexpected_error("replay", error)
        telemetry.dropped("group", "damaged")
        return
    for row in rows:
        try:
            record = decode(row)
            _check(record)
        except Exception as error:  # noqa: BLE001 -- a row may hold anything; the others are taken
            telemetry.unexpected_error("replay", error)
            telemetry.dropped("entry", "damaged")
        else:
            yield record


def _check(record: JournalRecord) -> None:
    """Raise TypeError for an record that no bridge has written: it would stay in the session for good."""
    event = record.event
    numbers = [record.sequence, record.received, *(getattr(event, name, 0) for name in NUMBERS)]
    optional = [getattr(event, name, None) for name in OPTIONAL_NUMBERS]
    numbers += [number for number in optional if number is not None]
    is_sound = all(isinstance(number, (int, float)) for number in numbers)
    if not is_sound or not isinstance(record.session_id, str):
        raise TypeError("not an record of a session")


def _apply(number: int, record: JournalRecord, stage: Stage) -> None:
    session = _session(record.session_id, stage)
    if session is None or number <= stage.through[session.id]:
        return
    event = record.event
    session.accepted = session.committed = max(session.accepted, record.sequence)
    if not isinstance(event, OBSERVED):
        session.updated_at = max(session.updated_at, record.received)
    _replay_to_sinks(session, event, record.received, stage)
    try:
        session.apply(event, record.received)
    except Exception as error:  # noqa: BLE001 -- a row of wrong types; the others are taken
        stage.telemetry.unexpected_error("replay", error)
        stage.telemetry.dropped("entry", "damaged")
    if isinstance(event, Forgotten):
        del stage.sessions[session.id]


def _session(session_id: str, stage: Stage) -> Session | None:
    """Return a session with records, though it ended long ago; None for one that is forgotten or damaged."""
    if session_id not in stage.through:
        stage.through[session_id] = -1
        checkpoint = stage.rows.find(session_id)
        if checkpoint is not None:
            _load(checkpoint, stage)
    return stage.sessions.get(session_id)
