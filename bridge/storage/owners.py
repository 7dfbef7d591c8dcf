"""Which bridge has which session, in a database that bridges share.

Every transaction here locks rows of `bridges` first and rows of `owners` behind them, each in the order of their
names, as the group commit of a bridge does: so none of them wait for each other in a circle.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Text,
    any_,
    bindparam,
    column,
    delete,
    exists,
    extract,
    func,
    select,
    update,
)

from bridge.errors import StorageError
from bridge.storage.database import SharedDatabase
from bridge.storage.schema import BRIDGES, OWNERS
from bridge.storage.statements import Statement, inserted
from bridge.storage.transaction import Transaction

NOW_MS = func.floor(extract("epoch", func.clock_timestamp()) * 1000).cast(BigInteger)
"""Milliseconds since 1970 by the clock of the database, the same for all bridges."""

CHANNEL = "trainbridge_moved"
"""Where it is announced, with the name of a bridge, that another one has taken sessions from it."""

NAMES = any_(bindparam("names", type_=ARRAY(Text)))
FORMER = any_(bindparam("former", type_=ARRAY(Text)))

OWNERS_OF = Statement(
    select(OWNERS.c.session_id, OWNERS.c.bridge_id).where(OWNERS.c.session_id == NAMES)
)
LOCK_FORMER = Statement(
    select(BRIDGES.c.bridge_id)
    .where(BRIDGES.c.bridge_id == FORMER)
    .order_by(BRIDGES.c.bridge_id)
    .with_for_update()
)
RAISE_GENERATIONS = Statement(
    update(BRIDGES)
    .values(generation=BRIDGES.c.generation + 1)
    .where(BRIDGES.c.bridge_id == FORMER)
    .returning(func.pg_notify(CHANNEL, BRIDGES.c.bridge_id))
)
GENERATION = Statement(
    select(BRIDGES.c.generation).where(BRIDGES.c.bridge_id == bindparam("bridge"))
)
_GIVEN = (
    func.unnest(bindparam("names", type_=ARRAY(Text)))
    .table_valued(column("name", Text), with_ordinality="place")
    .render_derived(name="given")
)
_CLAIM = inserted(OWNERS).from_select(
    ["session_id", "bridge_id"],
    select(_GIVEN.c.name, bindparam("bridge", type_=Text)).order_by(_GIVEN.c.place),
)
TAKE = Statement(
    _CLAIM.on_conflict_do_update(
        index_elements=[OWNERS.c.session_id],
        set_={"bridge_id": _CLAIM.excluded.bridge_id},
        where=OWNERS.c.bridge_id == FORMER,
    ).returning(OWNERS.c.session_id)
)
"""Locks one row after the other, as they are given: those of nobody, and those of bridges whose row is locked."""

RELEASE = Statement(
    delete(OWNERS).where(
        OWNERS.c.session_id == bindparam("name"), OWNERS.c.bridge_id == bindparam("bridge")
    )
)
IS_DEAD = BRIDGES.c.seen_ms < NOW_MS - bindparam("silent_ms", type_=BigInteger)
DEAD_WITH_SESSIONS = Statement(
    select(BRIDGES.c.bridge_id)
    .where(
        IS_DEAD,
        BRIDGES.c.bridge_id != bindparam("bridge"),
        exists().where(OWNERS.c.bridge_id == BRIDGES.c.bridge_id),
    )
    .order_by(BRIDGES.c.bridge_id)
)
LOCK_DEAD = Statement(
    select(BRIDGES.c.bridge_id)
    .where(IS_DEAD, BRIDGES.c.bridge_id == bindparam("dead"))
    .with_for_update(skip_locked=True)
)
SOME_OF = Statement(
    select(OWNERS.c.session_id)
    .where(OWNERS.c.bridge_id == bindparam("dead"))
    .order_by(OWNERS.c.session_id)
    .limit(bindparam("most", type_=BigInteger))
)
MINE = Statement(select(OWNERS.c.session_id).where(OWNERS.c.bridge_id == bindparam("bridge")))
SHARES = Statement(
    select(BRIDGES.c.bridge_id, func.count(OWNERS.c.session_id))
    .select_from(BRIDGES.outerjoin(OWNERS, OWNERS.c.bridge_id == BRIDGES.c.bridge_id))
    .where(~IS_DEAD)
    .group_by(BRIDGES.c.bridge_id)
)
RESIGN = Statement(
    update(BRIDGES)
    .values(seen_ms=NOW_MS - bindparam("silent_ms", type_=BigInteger) - 1)
    .where(BRIDGES.c.bridge_id == bindparam("bridge"))
)


class FencedError(StorageError):
    """Another bridge has taken sessions from this one, which its next commit finds out: a retry helps then."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What has become of the sessions that were wanted."""

    names: tuple[str, ...]
    """Which are this bridge's now, though nothing of them may be in its memory."""
    former: frozenset[str]
    """The bridges that they were taken from."""


class OwnerRows:
    """Takes sessions for one bridge; every method blocks, in any thread, and raises StorageError."""

    def __init__(self, database: SharedDatabase) -> None:
        """Take them for the bridge of `database`."""
        self._database = database
        self._bridge_id = database.bridge_id

    def take(self, names: Collection[str]) -> Taken:
        """Become the owner of sessions, whoever has them, or nobody.

        One that another bridge takes at the same moment may be left out. Raises FencedError.
        """
        with self._database.transaction() as transaction:
            rows = transaction.query(OWNERS_OF, {"names": list(names)})
            owners = {str(name): str(bridge) for name, bridge in rows}
            return self._take(transaction, {name: owners.get(name, "") for name in names})

    def take_orphans(self, *, silent_seconds: float, most: int) -> Taken:
        """Become the owner of some sessions of a bridge that is dead; of none where others do so already."""
        silent_ms = round(silent_seconds * 1000)
        for [dead] in self._database.query(
            DEAD_WITH_SESSIONS, {"silent_ms": silent_ms, "bridge": self._bridge_id}
        ):
            with self._database.transaction() as transaction:
                if not transaction.query(LOCK_DEAD, {"dead": dead, "silent_ms": silent_ms}):
                    continue
                names = [
                    name for [name] in transaction.query(SOME_OF, {"dead": dead, "most": most})
                ]
                return self._take(transaction, dict.fromkeys(names, str(dead)))
        return Taken((), frozenset())

    def release(self, transaction: Transaction, names: Iterable[str]) -> None:
        """Own sessions no more, which have left memory."""
        rows = [{"name": name, "bridge": self._bridge_id} for name in sorted(names)]
        transaction.executemany(RELEASE, rows)

    def mine(self) -> list[str]:
        """Return the sessions that this bridge owns."""
        return [name for [name] in self._database.query(MINE, {"bridge": self._bridge_id})]

    def shares(self, silent_seconds: float) -> dict[str, int]:
        """Return how many sessions each bridge has that has been seen within a time."""
        rows = self._database.query(SHARES, {"silent_ms": round(silent_seconds * 1000)})
        return {str(bridge): int(sessions) for bridge, sessions in rows}

    def resign(self, *, silent_seconds: float) -> None:
        """Let other bridges adopt at once what this one still owns, as if it had been silent for so long: it stops."""
        parameters = {"bridge": self._bridge_id, "silent_ms": round(silent_seconds * 1000)}
        with self._database.transaction() as transaction:
            transaction.execute(RESIGN, parameters)

    def _take(self, transaction: Transaction, owners: dict[str, str]) -> Taken:
        former = frozenset(owners.values()) - {"", self._bridge_id}
        bridges = {"former": sorted(former)}
        if former:
            transaction.query(LOCK_FORMER, bridges)
            transaction.query(RAISE_GENERATIONS, bridges)
        taken = [name for name, owner in owners.items() if owner == self._bridge_id]
        others = sorted(owners.keys() - set(taken))
        if others:
            which = {**bridges, "names": others, "bridge": self._bridge_id}
            taken += [name for [name] in transaction.query(TAKE, which)]
        # Last, so that nobody can have taken a session from this bridge and given it up again unseen.
        rows = transaction.query(GENERATION, {"bridge": self._bridge_id})
        if rows != [(self._database.generation,)]:
            raise FencedError("another bridge has taken sessions from this one; try again soon")
        return Taken(tuple(sorted(taken)), former)
