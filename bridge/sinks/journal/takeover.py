"""Takes over sessions that another bridge has written last, while this one runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.errors import StorageError
from bridge.lifecycle import Expired
from bridge.session import Session
from bridge.sinks.journal.archive import SUPERSEDED, session_of
from bridge.sinks.journal.records import JournalRecord
from bridge.sinks.journal.restoration import JournalRow, Restoration
from bridge.storage.database import SharedDatabase
from bridge.storage.image_counts import ReadCounts
from bridge.storage.moved_sessions import MovedSession, read_groups, read_sessions

Rows = dict[tuple[str, str], list[tuple[int, JournalRow]]]
"""By the bridge whose journal it is and the session, the records that may have to be applied, each with its group's number.

They are read session by session: a checkpoint includes most of them, and so many objects at once cost the garbage
collector, and with it everybody, a tenth of a second.
"""


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


def read_rows(database: SharedDatabase, names: Sequence[str], restoration: Restoration) -> Rows:
    """Return the rows of sessions that their checkpoints may not include; blocks, and raises StorageError."""
    found: Rows = {}
    wanted = frozenset(names)
    for bridge, number, data in read_groups(database, names):
        for row in restoration.rows_of(number, data, wanted):
            found.setdefault((bridge, row[0]), []).append((number, row))
    return found


def find_sessions(
    database: SharedDatabase, names: Sequence[str], rows: Rows, restoration: Restoration
) -> list[FoundSession]:
    """Return what the database has of sessions, those without a checkpoint left out; blocks.

    `rows` have been read before, of these sessions and maybe others. Raises StorageError.
    """
    found = (_found(moved, rows, restoration) for moved in read_sessions(database, names))
    return [one for one in found if one is not None]


def restored(found: FoundSession, restoration: Restoration) -> Session | None:
    """Return a session with its records applied, to the sinks too; None for one that is over. Runs on the event loop."""
    restoration.begin(found.session, found.images)
    for record in found.records:
        restoration.apply(found.session, record)
        if isinstance(record.event, Expired):
            return None
    return found.session


def _found(moved: MovedSession, rows: Rows, restoration: Restoration) -> FoundSession | None:
    checkpoint = moved.checkpoint
    try:
        session = session_of(checkpoint)
    except StorageError as error:
        restoration.count_damaged("session", error)
        return None
    is_archived = checkpoint.ended_ms != 0 or bool(session.restored_state.pop(SUPERSEDED, None))
    behind = () if is_archived else rows.get((checkpoint.journal, session.id), ())
    records = (
        restoration.record(row) for number, row in behind if number > checkpoint.applied_through
    )
    return FoundSession(
        session,
        tuple(record for record in records if record is not None),
        moved.images,
        moved.window,
        is_archived,
    )
