"""Spans waiting for the OTLP endpoint."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    any_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from bridge.storage.database import Database
from bridge.storage.owners import NOW_MS
from bridge.storage.schema import SPANS
from bridge.storage.statements import Statement, inserted
from bridge.storage.transaction import Transaction

NUMBERS_END = 10**18
"""Far above the number of any span: one that reaches it is damaged, and must leave room for the next."""

OUTBOX_LIMIT = 10_000
"""Spans that may wait; beyond it the oldest are dropped."""

CLAIM_MS = 60_000
"""How long the spans that a bridge sends are left to it; if it dies, others send them after that."""


_ROW = (
    inserted(SPANS)
    .inline()
    .values({name: bindparam(name) for name in ("span_id", "session_id", "span")})
)
ADD = Statement(
    _ROW.on_conflict_do_update(
        index_elements=["span_id"],
        set_={name: _ROW.excluded[name] for name in ("session_id", "span")},
    )
)
_NEWEST_DROPPED = (
    select(SPANS.c.number)
    .order_by(SPANS.c.number.desc())
    .limit(1)
    .offset(bindparam("kept", type_=BigInteger))
    .scalar_subquery()
)
DROP_OLDEST = Statement(
    # Rows that another bridge has its hands on are left: nobody waits for anybody, in whatever sequence.
    delete(SPANS).where(
        SPANS.c.number.in_(
            select(SPANS.c.number)
            .where(SPANS.c.number <= _NEWEST_DROPPED)
            .with_for_update(skip_locked=True)
        )
    )
)
_COUNT = bindparam("count", type_=BigInteger)
OLDEST = Statement(select(SPANS.c.number, SPANS.c.span).order_by(SPANS.c.number).limit(_COUNT))
OLDEST_FREE = Statement(
    select(SPANS.c.number, SPANS.c.span)
    .where(or_(SPANS.c.claimed_until_ms < NOW_MS, SPANS.c.claimed_by == bindparam("bridge")))
    .order_by(SPANS.c.number)
    .limit(_COUNT)
    .with_for_update(skip_locked=True)
)
_NUMBERS = any_(bindparam("numbers", type_=ARRAY(BigInteger)))
CLAIM = Statement(
    update(SPANS)
    .values(
        claimed_by=bindparam("bridge"),
        claimed_until_ms=NOW_MS + bindparam("claim_ms", type_=BigInteger),
    )
    .where(SPANS.c.number == _NUMBERS)
)
RELEASE = Statement(
    update(SPANS)
    .values(claimed_by="", claimed_until_ms=0)
    .where(SPANS.c.number == _NUMBERS, SPANS.c.claimed_by == bindparam("bridge"))
)
REMOVE = Statement(delete(SPANS).where(SPANS.c.number == bindparam("number")))
COUNT = Statement(select(func.count()).select_from(SPANS))

_IS_MISNUMBERED = SPANS.c.number >= bindparam("end", type_=Integer)
COUNT_MISNUMBERED = Statement(select(func.count()).select_from(SPANS).where(_IS_MISNUMBERED))
REMOVE_MISNUMBERED = Statement(delete(SPANS).where(_IS_MISNUMBERED))
_SEQUENCES = Table("sqlite_sequence", MetaData(), Column("name", Text), Column("seq", Integer))
"""SQLite's own: the highest number that it has given."""
MISNUMBERED_SEQUENCE = Statement(
    select(_SEQUENCES.c.seq).where(
        _SEQUENCES.c.name == SPANS.name, _SEQUENCES.c.seq >= bindparam("end", type_=Integer)
    )
)
RESET_SEQUENCE = Statement(
    update(_SEQUENCES)
    .values(seq=select(func.coalesce(func.max(SPANS.c.number), 0)).scalar_subquery())
    .where(_SEQUENCES.c.name == SPANS.name)
)


class WaitingSpan(NamedTuple):
    """A span on its way into the outbox."""

    span_id: str
    session_id: str
    json: str


class SpanOutbox:
    """Rows of spans, oldest first; every method but `add` and those with a transaction may block.

    Bridges that share a database share the outbox, and send each other's spans.
    """

    def __init__(self, database: Database, *, limit: int = OUTBOX_LIMIT) -> None:
        """Read and write `database`; all bridges together keep at most `limit` spans."""
        self._database = database
        self._limit = limit
        self.is_shared = bool(database.bridge_id)
        """Whether other bridges add spans, and send them."""

    def add(self, transaction: Transaction, spans: Sequence[WaitingSpan]) -> int:
        """Add spans, and return how many old ones were dropped for them.

        Those of sessions that the transaction does not own are left out: they are the next owner's to finish.
        """
        rows = [
            {"span_id": span.span_id, "session_id": span.session_id, "span": span.json}
            for span in spans
            if transaction.owns(span.session_id)
        ]
        if not rows:
            return 0
        transaction.executemany(ADD, rows)
        return transaction.execute(DROP_OLDEST, {"kept": self._limit}).rowcount

    def take_oldest(self, count: int) -> list[tuple[int, str]]:
        """Return the numbers and JSON of the spans that have waited longest, and that no other bridge sends.

        They are left to this bridge for `CLAIM_MS`, or until it takes some anew.
        """
        if not self.is_shared:
            return [
                (number, span) for number, span in self._database.query(OLDEST, {"count": count})
            ]
        bridge = self._database.bridge_id
        with self._database.transaction() as transaction:
            rows = transaction.query(OLDEST_FREE, {"count": count, "bridge": bridge})
            numbers = [number for number, _ in rows]
            if numbers:
                claim = {"numbers": numbers, "bridge": bridge, "claim_ms": CLAIM_MS}
                transaction.execute(CLAIM, claim)
        return [(number, span) for number, span in rows]

    def release(self, numbers: Sequence[int]) -> None:
        """Let other bridges send spans that were taken and not delivered."""
        if self.is_shared and numbers:
            with self._database.transaction() as transaction:
                parameters = {"numbers": list(numbers), "bridge": self._database.bridge_id}
                transaction.execute(RELEASE, parameters)

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove spans that have been delivered."""
        with self._database.transaction() as transaction:
            transaction.executemany(REMOVE, [{"number": number} for number in numbers])

    def discard_misnumbered(self) -> int:
        """Remove spans whose number is damaged, and reset the sequence of numbers; return how many spans.

        SQLite only assigns numbers above all those before, and has none above the highest. PostgreSQL keeps what it
        assigns elsewhere.
        """
        if self._database.dialect != "sqlite":
            return 0
        end = {"end": NUMBERS_END}
        [[spans]] = self._database.query(COUNT_MISNUMBERED, end)
        if spans or self._database.query(MISNUMBERED_SEQUENCE, end):
            with self._database.transaction() as transaction:
                transaction.execute(REMOVE_MISNUMBERED, end)
                transaction.execute(RESET_SEQUENCE)
        return int(spans)

    def count(self) -> int:
        """Return how many spans wait."""
        [[number]] = self._database.query(COUNT)
        return int(number)
