"""Reads sessions that another bridge has written last: the groups behind their checkpoints, then these."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Text, bindparam, func, or_, select

from bridge.storage.database import SharedDatabase
from bridge.storage.image_counts import ReadCounts, counts_of_all
from bridge.storage.journal import IS_NEWEST, ONE, Checkpoint, JournalRows
from bridge.storage.owners import NAMES
from bridge.storage.schema import JOURNAL, WINDOWS
from bridge.storage.statements import Statement

GROUPS_PER_QUERY = 256

BEHIND = Statement(
    select(ONE.c.journal, ONE.c.through).where(
        ONE.c.session_id == NAMES, ONE.c.ended_ms == 0, IS_NEWEST
    )
)
NAME = bindparam("name", type_=Text)
GROUPS = Statement(
    select(JOURNAL.c.number, JOURNAL.c.entries)
    .where(
        JOURNAL.c.bridge_id == bindparam("bridge"),
        JOURNAL.c.number > bindparam("after", type_=BigInteger),
        or_(func.length(NAME) == 0, func.strpos(JOURNAL.c.sessions, NAME) > 0),
    )
    .order_by(JOURNAL.c.number)
    .limit(bindparam("most", type_=BigInteger))
)
OPEN_WINDOWS = Statement(
    select(WINDOWS.c.session_id, WINDOWS.c.offer).where(WINDOWS.c.session_id == NAMES)
)


@dataclass(frozen=True, slots=True)
class MovedSession:
    """The newest attempt of a session, as the database has it."""

    checkpoint: Checkpoint
    images: ReadCounts
    window: bytes | None
    """The candidate of its open window; None: it has none."""


def read_groups(database: SharedDatabase, names: Sequence[str]) -> Iterator[tuple[str, int, bytes]]:
    """Yield bridge, number and records of the groups behind the checkpoints of sessions, of each bridge the oldest first.

    They may hold records of other sessions. Checkpoints have to be read after them: a bridge that still writes these
    sessions may trim what a newer checkpoint includes, and then that one is read.
    """
    behind: dict[str, int] = {}
    for bridge, through in database.query(BEHIND, {"names": list(names)}):
        behind[bridge] = min(through, behind.get(bridge, through))
    name = f" {names[0]} " if len(names) == 1 else ""
    for bridge, through in behind.items():
        which = {"bridge": bridge, "name": name, "most": GROUPS_PER_QUERY, "after": through}
        while rows := database.query(GROUPS, which):
            for number, records in rows:
                yield bridge, number, records
            which["after"] = rows[-1][0]


def read_sessions(database: SharedDatabase, names: Sequence[str]) -> list[MovedSession]:
    """Return what there is of sessions; one without a checkpoint is left out."""
    checkpoints = {one.session_id: one for one in JournalRows(database).newest(names)}
    if not checkpoints:
        return []
    images = counts_of_all(database, {name: one.attempt for name, one in checkpoints.items()})
    windows: dict[str, bytes] = dict(database.query(OPEN_WINDOWS, {"names": list(checkpoints)}))
    return [
        MovedSession(checkpoint, images[name], windows.get(name))
        for name, checkpoint in checkpoints.items()
    ]
