"""Reads sessions that another bridge has written last: their checkpoints, and the groups behind them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Text, bindparam, func, or_, select

from bridge.storage.database import Database
from bridge.storage.image_counts import ReadCounts, counts_of
from bridge.storage.journal import Checkpoint, JournalRows
from bridge.storage.schema import JOURNAL, SESSIONS, WINDOWS
from bridge.storage.statements import Statement

ROWS_PER_QUERY = 64

BEHIND = Statement(
    select(SESSIONS.c.journal, SESSIONS.c.through)
    .where(SESSIONS.c.session_id == bindparam("name"))
    .order_by(SESSIONS.c.attempt.desc())
    .limit(1)
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
WINDOW = Statement(select(WINDOWS.c.offer).where(WINDOWS.c.session_id == bindparam("name")))


@dataclass(frozen=True, slots=True)
class MovedSession:
    """The newest attempt of a session, as the database has it."""

    checkpoint: Checkpoint
    images: ReadCounts
    window: bytes | None
    """The candidate of its open window; None: it has none."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Some sessions, and the groups of records that may be of them."""

    sessions: tuple[MovedSession, ...]
    groups: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    """By the bridge whose journal it is, number and records of each group, oldest first."""


def read_moved(database: Database, names: Sequence[str]) -> Moved:
    """Return what there is of sessions; one without a checkpoint is left out.

    The checkpoints are read after the groups: a bridge that still writes these sessions may trim what a newer
    checkpoint includes, and then that one is read.
    """
    behind: dict[str, int] = {}
    for name in names:
        for bridge, through in database.query(BEHIND, {"name": name}):
            behind[bridge] = min(through, behind.get(bridge, through))
    only = f" {names[0]} " if len(names) == 1 else ""
    groups = {
        bridge: list(_groups(database, bridge, after, only)) for bridge, after in behind.items()
    }
    return Moved(tuple(_sessions(database, names)), groups)


def _groups(database: Database, bridge: str, after: int, name: str) -> Iterator[tuple[int, bytes]]:
    parameters = {"bridge": bridge, "name": name, "most": ROWS_PER_QUERY}
    while rows := database.query(GROUPS, {**parameters, "after": after}):
        yield from rows
        after = rows[-1][0]


def _sessions(database: Database, names: Iterable[str]) -> Iterator[MovedSession]:
    rows = JournalRows(database)
    for name in names:
        checkpoint = rows.find(name)
        if checkpoint is not None:
            window = database.query(WINDOW, {"name": name})
            images = counts_of(database, name, checkpoint.attempt)
            yield MovedSession(checkpoint, images, window[0][0] if window else None)
