"""Takes over sessions that another bridge has written last, while this one runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.errors import StorageError
from bridge.lifecycle import Expired
from bridge.session import Session
from bridge.sinks.journal.archive import SUPERSEDED, session_of
from bridge.sinks.journal.records import JournalRecord
from bridge.sinks.journal.restoration import Restoration
from bridge.storage.database import SharedDatabase
from bridge.storage.image_counts import ReadCounts
from bridge.storage.moved_sessions import MovedSession, read_groups, read_sessions

Records = dict[tuple[str, str], list[tuple[int, JournalRecord]]]
"""By the bridge whose journal it is and the session, each with the number of its group."""


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


def read_records(
    database: SharedDatabase, names: Sequence[str], restoration: Restoration
) -> Records:
    """Return the records of sessions that their checkpoints may not include; blocks, and raises StorageError."""
    found: Records = {}
    wanted = frozenset(names)
    for bridge, number, data in read_groups(database, names):
        for record in restoration.records(number, data, only=wanted):
            found.setdefault((bridge, record.session_id), []).append((number, record))
    return found


def find_sessions(
    database: SharedDatabase, names: Sequence[str], records: Records, restoration: Restoration
) -> list[FoundSession]:
    """Return what the database has of sessions, those without a checkpoint left out; blocks.

    `records` have been read before, of these sessions and maybe others. Raises StorageError.
    """
    found = (_found(moved, records, restoration) for moved in read_sessions(database, names))
    return [one for one in found if one is not None]


def restored(found: FoundSession, restoration: Restoration) -> Session | None:
    """Return a session with its records applied, to the sinks too; None for one that is over. Runs on the event loop."""
    restoration.begin(found.session, found.images)
    for record in found.records:
        restoration.apply(found.session, record)
        if isinstance(record.event, Expired):
            return None
    return found.session


def _found(moved: MovedSession, records: Records, restoration: Restoration) -> FoundSession | None:
    checkpoint = moved.checkpoint
    try:
        session = session_of(checkpoint)
    except StorageError as error:
        restoration.count_damaged("session", error)
        return None
    is_archived = checkpoint.ended_ms != 0 or bool(session.restored_state.pop(SUPERSEDED, None))
    behind = () if is_archived else records.get((checkpoint.journal, session.id), ())
    through = checkpoint.applied_through
    return FoundSession(
        session,
        tuple(record for number, record in behind if number > through),
        moved.images,
        moved.window,
        is_archived,
    )
