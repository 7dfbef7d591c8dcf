"""The rows of the journal, and the checkpoints of sessions."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Text,
    and_,
    bindparam,
    column,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from bridge.errors import StorageError
from bridge.storage.database import Database, Row
from bridge.storage.image_counts import ReadCounts, counts_of
from bridge.storage.owners import NAMES
from bridge.storage.schema import JOURNAL, OWNERS, SESSIONS
from bridge.storage.statements import Statement, larger, upsert
from bridge.storage.transaction import Transaction

NUMBERS_END = 10**18
"""Far above any group's number: one that reaches it is damaged, and must leave room for the next groups."""

TRIM_SECONDS = 1.0
"""In a database that bridges share, groups are deleted this often: others may need some of them."""

ROWS_AT_ONCE = 64
"""A checkpoint may take 70 KB, and a statement has all of its rows in memory."""

BRIDGE = bindparam("bridge", type_=Text)
NAME = bindparam("name", type_=Text)
ATTEMPT = bindparam("attempt", type_=BigInteger)

ONE, NEWER = SESSIONS.alias("one"), SESSIONS.alias("newer")

PUT_GROUP = upsert(JOURNAL)
PUT_SESSION = upsert(SESSIONS)
LAST_SEEN = Statement(
    update(SESSIONS)
    .values(updated_ms=larger(SESSIONS.c.updated_ms, bindparam("seen_ms", type_=BigInteger)))
    .where(SESSIONS.c.session_id == NAME, SESSIONS.c.attempt == ATTEMPT)
)

TRIM = Statement(
    delete(JOURNAL).where(
        JOURNAL.c.bridge_id == BRIDGE,
        or_(
            JOURNAL.c.number < bindparam("below", type_=BigInteger),
            JOURNAL.c.number >= bindparam("end", type_=BigInteger),
        ),
    )
)
_HERE = (
    func.unnest(bindparam("here", type_=ARRAY(Text)))
    .table_valued(column("name", Text))
    .render_derived(name="here")
)
STILL_NEEDED = Statement(
    select(func.min(SESSIONS.c.through)).where(
        SESSIONS.c.journal == BRIDGE,
        SESSIONS.c.ended_ms == 0,
        OWNERS.c.session_id == SESSIONS.c.session_id,
        or_(OWNERS.c.bridge_id != BRIDGE, SESSIONS.c.session_id.not_in(select(_HERE.c.name))),
    )
)
"""The last group that a checkpoint includes of a session whose owner has it to read yet, and has written none since."""

COLUMNS = (
    *(ONE.c.session_id, ONE.c.attempt, ONE.c.registered_ms, ONE.c.updated_ms, ONE.c.ended_ms),
    *(ONE.c.through, ONE.c.state, ONE.c.journal),
)
ENTRY = (ONE.c.session_id, ONE.c.registered_ms, ONE.c.updated_ms, ONE.c.through, ONE.c.attempt)
IS_NEWEST = ~exists().where(NEWER.c.session_id == ONE.c.session_id, NEWER.c.attempt > ONE.c.attempt)
LIMIT = bindparam("most", type_=BigInteger)

FIND_NEWEST = Statement(
    select(*COLUMNS).where(ONE.c.session_id == NAME).order_by(ONE.c.attempt.desc()).limit(1)
)
NEWEST = Statement(select(*COLUMNS).where(ONE.c.session_id == NAMES, IS_NEWEST))
FIND = Statement(select(*COLUMNS).where(ONE.c.session_id == NAME, ONE.c.attempt == ATTEMPT))
ENTRIES = Statement(
    select(*ENTRY).where(IS_NEWEST).order_by(ONE.c.registered_ms.desc()).limit(LIMIT)
)
SUMMARIES = Statement(
    select(ONE.c.session_id, ONE.c.summary).where(
        ONE.c.session_id == NAMES,
        ONE.c.summary.is_not(None),
        IS_NEWEST,
    )
)
ATTEMPTS = Statement(select(*ENTRY).where(ONE.c.session_id == NAME).order_by(ONE.c.attempt))
UNFINISHED = Statement(
    select(*COLUMNS)
    .where(
        ONE.c.journal == BRIDGE,
        or_(ONE.c.ended_ms == 0, ONE.c.ended_ms > bindparam("after", type_=BigInteger)),
        IS_NEWEST,
    )
    .order_by(ONE.c.registered_ms.desc())
    .limit(LIMIT)
)
GROUPS = Statement(
    select(JOURNAL.c.number, JOURNAL.c.entries)
    .where(
        JOURNAL.c.bridge_id == BRIDGE,
        JOURNAL.c.number > bindparam("after", type_=BigInteger),
        JOURNAL.c.number < bindparam("end", type_=BigInteger),
    )
    .order_by(JOURNAL.c.number)
    .limit(256)
)
LAST_GROUP = Statement(
    select(func.max(JOURNAL.c.number)).where(
        JOURNAL.c.bridge_id == BRIDGE, JOURNAL.c.number < bindparam("end", type_=BigInteger)
    )
)
MISPLACED = Statement(
    select(func.count())
    .select_from(JOURNAL)
    .where(
        JOURNAL.c.bridge_id == BRIDGE,
        or_(JOURNAL.c.number <= 0, JOURNAL.c.number >= bindparam("end", type_=BigInteger)),
    )
)
IS_THROUGH = and_(
    SESSIONS.c.journal == BRIDGE, SESSIONS.c.through < bindparam("end", type_=BigInteger)
)
LAST_THROUGH = {
    "postgresql": Statement(select(func.max(SESSIONS.c.through)).where(IS_THROUGH)),
    # A damaged file of SQLite may hold anything there.
    "sqlite": Statement(
        select(func.max(SESSIONS.c.through)).where(
            IS_THROUGH, func.typeof(SESSIONS.c.through) == "integer"
        )
    ),
}

LAST_MS = 2**63 - 1024
"""The last time that is both a float and an SQLite integer."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An attempt of a session as it stood when the group `applied_through` had been applied."""

    session_id: str
    attempt: int
    registered_ms: int
    updated_ms: int
    ended_ms: int
    """0 while the bridge holds the session in memory: it is live, or lingers after its end."""
    applied_through: int
    state: bytes
    journal: str = ""
    """The bridge whose groups are meant; "": no other bridge has this database."""
    summary: bytes | None = None
    """The little of it that lists say; None: not read, or not written."""


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """That there is a checkpoint of an attempt, and as of when; another one differs in its times or its group."""

    session_id: str
    registered_ms: int
    updated_ms: int
    applied_through: int
    attempt: int = 1

    @property
    def version(self) -> tuple[int, int, int]:
        """Another one for another checkpoint, whenever the session was last heard of."""
        return self.attempt, self.registered_ms, self.applied_through


class JournalRows:
    """Groups of records in order, and at most one checkpoint of each attempt of a session."""

    def __init__(
        self, database: Database, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Read and write `database`, in which the groups are those of one bridge."""
        self._database = database
        self._bridge = database.bridge_id
        self._monotonic = monotonic
        self._trimmed_at = -math.inf

    def put(
        self, transaction: Transaction, number: int, records: bytes, sessions: Iterable[str] = ()
    ) -> None:
        """Write the records of one commit, which are of these sessions, however often each is named.

        Raises StorageError where the row cannot be written: what it holds must not be acknowledged, so the
        transaction must not go on without it.
        """
        if number >= NUMBERS_END:
            raise StorageError(f"the journal has run out of numbers at {number}")
        names = f" {' '.join(dict.fromkeys(sessions))} " if self._bridge else ""
        row = {"bridge_id": self._bridge, "number": number, "sessions": names, "entries": records}
        if transaction.execute(PUT_GROUP, row).rowcount != 1:
            raise StorageError(f"the database cannot hold group {number} of the journal")

    def put_checkpoints(self, transaction: Transaction, checkpoints: Sequence[Checkpoint]) -> bool:
        """Write checkpoints, each replacing the attempt's last; False: the database cannot hold one of them."""
        rows = [self._row(one) for one in checkpoints]
        parts = [rows[n : n + ROWS_AT_ONCE] for n in range(0, len(rows), ROWS_AT_ONCE)]
        return sum(transaction.executemany(PUT_SESSION, part) for part in parts) == len(rows)

    def put_last_seen(
        self, transaction: Transaction, last_seen: Sequence[tuple[float, str, int]]
    ) -> None:
        """Write when attempts of sessions were last seen, in seconds since 1970."""
        rows = [
            {"seen_ms": milliseconds(at), "name": session_id, "attempt": attempt}
            for at, session_id, attempt in last_seen
        ]
        transaction.executemany(LAST_SEEN, rows)

    def trim(self, transaction: Transaction, below: int, here: Collection[str] = ()) -> None:
        """Delete the groups below a number, all included in checkpoints, and those whose number is damaged.

        Where bridges share the database, what another one still needs of a session that it has taken stays, as does what
        this one needs of those that it owns and that are not `here` yet: read, and with a checkpoint since then. Nothing
        is deleted more often than every TRIM_SECONDS.
        """
        if self._bridge:
            if self._monotonic() - self._trimmed_at < TRIM_SECONDS:
                return
            self._trimmed_at = self._monotonic()
            [[through]] = transaction.query(
                STILL_NEEDED, {"bridge": self._bridge, "here": list(here)}
            )
            below = below if through is None else min(below, through + 1)
        which = {"bridge": self._bridge, "below": below, "end": NUMBERS_END}
        transaction.execute(TRIM, which)

    def groups(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and records of each group, oldest first, but for those whose number is damaged."""
        which = {"bridge": self._bridge, "end": NUMBERS_END}
        number = 0
        while rows := self._database.query(GROUPS, {**which, "after": number}):
            yield from rows
            number = rows[-1][0]

    def last_number(self) -> int:
        """Return the highest number ever given to a group or a checkpoint, 0 before the first.

        Damaged numbers are ignored.
        """
        which = {"bridge": self._bridge, "end": NUMBERS_END}
        [[group]] = self._database.query(LAST_GROUP, which)
        [[checkpoint]] = self._database.query(LAST_THROUGH[self._database.dialect], which)
        return max(group or 0, checkpoint or 0, 0)

    def misplaced(self) -> int:
        """Count the groups whose number is damaged, so that their place in the order is lost."""
        [[count]] = self._database.query(MISPLACED, {"bridge": self._bridge, "end": NUMBERS_END})
        return int(count)

    def images(self, session_id: str, attempt: int) -> ReadCounts:
        """Return what became of the images of a session attempt."""
        return counts_of(self._database, session_id, attempt)

    def find(self, session_id: str, attempt: int | None = None) -> Checkpoint | None:
        """Return the checkpoint of an attempt of a session, of its newest by default; None where there is none."""
        if attempt is None:
            rows = self._database.query(FIND_NEWEST, {"name": session_id})
        else:
            rows = self._database.query(FIND, {"name": session_id, "attempt": attempt})
        return _checkpoint(rows[0]) if rows else None

    def newest(self, session_ids: Collection[str]) -> list[Checkpoint]:
        """Return the checkpoints of the newest attempts of sessions, in any order, of a database that bridges share."""
        rows = self._database.query(NEWEST, {"names": list(session_ids)})
        return [_checkpoint(row) for row in rows]

    def entries(self, limit: int) -> list[CheckpointEntry]:
        """Return which checkpoints there are of the latest registrations, newest first: one of each session."""
        return [CheckpointEntry(*row) for row in self._database.query(ENTRIES, {"most": limit})]

    def summaries(self, session_ids: Collection[str]) -> dict[str, bytes]:
        """Return the summaries of the newest attempts of sessions; there are none where no other bridge has the database."""
        if not self._bridge:
            return {}
        return dict(self._database.query(SUMMARIES, {"names": list(session_ids)}))

    def attempts(self, session_id: str) -> list[CheckpointEntry]:
        """Return which checkpoints there are of a session, the oldest attempt first."""
        return [
            CheckpointEntry(*row) for row in self._database.query(ATTEMPTS, {"name": session_id})
        ]

    def unfinished(self, ended_after_ms: int, limit: int) -> list[Checkpoint]:
        """Return the checkpoints of sessions that were held in memory, the oldest registration first.

        Older versions wrote the end of a session while it lingered, so that those with a later end count too.
        Of each session it is the newest attempt.
        """
        which = {"bridge": self._bridge, "after": ended_after_ms, "most": limit}
        return [_checkpoint(row) for row in reversed(self._database.query(UNFINISHED, which))]

    def _row(self, one: Checkpoint) -> dict[str, object]:
        return {
            "session_id": one.session_id,
            "attempt": one.attempt,
            "registered_ms": one.registered_ms,
            "updated_ms": one.updated_ms,
            "ended_ms": one.ended_ms,
            "through": one.applied_through,
            "state": one.state,
            "journal": self._bridge,
            "summary": one.summary if self._bridge else None,
        }


def milliseconds(seconds: float) -> int:
    """Return a time as the database can hold it, whatever the clock said."""
    return int(min(seconds * 1000, LAST_MS)) if seconds > 0 else 0


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(*row)
