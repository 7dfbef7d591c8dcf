"""Takes over sessions that another bridge has written last, while this one runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.errors import StorageError
from bridge.lifecycle import Expired
from bridge.session import Session
from bridge.sinks.journal.archive import SUPERSEDED, session_of
from bridge.sinks.journal.records import JournalRecord
from bridge.sinks.journal.restoration import Restoration
from bridge.storage.database import Database
from bridge.storage.image_counts import ReadCounts
from bridge.storage.moved_sessions import MovedSession, read_moved


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session as its checkpoint has it, and the records that are still to be applied."""

    session: Session
    records: tuple[JournalRecord, ...]
    images: ReadCounts
    window: bytes | None
    """The candidate of its open window; None: it has none."""
    is_archived: bool
    """It had left the memory of the bridge that wrote it: the checkpoint is all there is."""


def find_sessions(
    database: Database, names: Sequence[str], restoration: Restoration
) -> list[FoundSession]:
    """Return what the database has of sessions, those without a checkpoint left out; blocks.

    Raises StorageError.
    """
    moved = read_moved(database, names)
    wanted = frozenset(names)
    records = {
        bridge: [
            (number, record)
            for number, data in groups
            for record in restoration.records(number, data, only=wanted)
        ]
        for bridge, groups in moved.groups.items()
    }
    return [one for found in moved.sessions if (one := _found(found, records, restoration))]


def restored(found: FoundSession, restoration: Restoration) -> Session | None:
    """Return a session with its records applied, to the sinks too; None for one that is over. Runs on the event loop."""
    restoration.begin(found.session, found.images)
    for record in found.records:
        restoration.apply(found.session, record)
        if isinstance(record.event, Expired):
            return None
    return found.session


def _found(
    moved: MovedSession,
    records: dict[str, list[tuple[int, JournalRecord]]],
    restoration: Restoration,
) -> FoundSession | None:
    checkpoint = moved.checkpoint
    try:
        session = session_of(checkpoint)
    except StorageError as error:
        restoration.count_damaged("session", error)
        return None
    is_archived = checkpoint.ended_ms != 0 or bool(session.restored_state.pop(SUPERSEDED, None))
    behind = (
        ()
        if is_archived
        else _behind(records.get(checkpoint.journal, ()), session, checkpoint.applied_through)
    )
    return FoundSession(session, tuple(behind), moved.images, moved.window, is_archived)


def _behind(
    records: Sequence[tuple[int, JournalRecord]], session: Session, through: int
) -> Iterator[JournalRecord]:
    for number, record in records:
        if number > through and record.session_id == session.id:
            yield record
