"""How many images had which result, by session attempt; exact even after a kill."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    column,
    func,
    select,
    true,
)

from bridge.model import ImageResult
from bridge.storage.database import Database, Row, SharedDatabase
from bridge.storage.schema import TALLIES
from bridge.storage.statements import Statement, inserted, larger
from bridge.storage.transaction import Transaction

RESTORED_KEY = "images"
"""The key of the counts in `Session.restored_state`: from their own table, not from a checkpoint."""

IMAGES = range(2**53)
"""The counts a row may have: above, a series is no longer exact."""

MILLISECONDS = range(2**63)


def _adding(is_sound: ColumnElement[bool]) -> Statement:
    """Return what adds to a row; one that is not sound starts again at 0, as the counts in memory did."""
    insert = inserted(TALLIES)
    images, at_ms = TALLIES.c.images, TALLIES.c.at_ms
    return Statement(
        insert.on_conflict_do_update(
            index_elements=[TALLIES.c.session_id, TALLIES.c.attempt, TALLIES.c.result],
            set_={
                "images": case((is_sound, images), else_=0) + insert.excluded.images,
                "at_ms": case(
                    (is_sound, larger(at_ms, insert.excluded.at_ms)), else_=insert.excluded.at_ms
                ),
            },
        )
    )


ADD = {
    "postgresql": _adding(true()),
    # A damaged file of SQLite may hold anything there; these are the rows that `counts_of` accepts.
    "sqlite": _adding(
        and_(
            func.typeof(TALLIES.c.images) == "integer",
            TALLIES.c.images >= 0,
            TALLIES.c.images < IMAGES.stop,
            func.typeof(TALLIES.c.at_ms) == "integer",
            TALLIES.c.at_ms >= 0,
        )
    ),
}
RESULTS = frozenset(result.value for result in ImageResult)

_COUNTED = (TALLIES.c.result, TALLIES.c.images, TALLIES.c.at_ms)
OF_ATTEMPT = Statement(
    select(*_COUNTED).where(
        TALLIES.c.session_id == bindparam("name"), TALLIES.c.attempt == bindparam("attempt")
    )
)
_GIVEN = (
    func.unnest(
        bindparam("names", type_=ARRAY(Text)), bindparam("attempts", type_=ARRAY(BigInteger))
    )
    .table_valued(column("name", Text), column("attempt", BigInteger))
    .render_derived(name="given")
)
OF_ATTEMPTS = Statement(
    select(TALLIES.c.session_id, *_COUNTED).join_from(
        _GIVEN,
        TALLIES,
        and_(TALLIES.c.session_id == _GIVEN.c.name, TALLIES.c.attempt == _GIVEN.c.attempt),
    )
)


class ImageCount(NamedTuple):
    """Images of one session attempt that had the same result."""

    session_id: str
    attempt: int
    result: ImageResult
    images: int
    at_ms: int
    """When the newest of them was received, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """What has been counted of a session attempt."""

    counts: tuple[ImageCount, ...]
    damaged: int
    """Rows that no bridge has written; each is left out."""


def add_counts(transaction: Transaction, counts: Iterable[ImageCount]) -> None:
    """Add counts to those stored."""
    rows = [{**one._asdict(), "result": one.result.value} for one in counts]
    transaction.executemany(ADD[transaction.dialect], rows)


def counts_of(database: Database, session_id: str, attempt: int) -> ReadCounts:
    """Return what has been counted of a session attempt."""
    rows = database.query(OF_ATTEMPT, {"name": session_id, "attempt": attempt})
    return _counts(session_id, attempt, rows)


def counts_of_all(database: SharedDatabase, attempts: Mapping[str, int]) -> dict[str, ReadCounts]:
    """Return by session what has been counted of the attempt given of it."""
    which = {"names": list(attempts), "attempts": list(attempts.values())}
    rows: dict[str, list[Row]] = {name: [] for name in attempts}
    for name, *counted in database.query(OF_ATTEMPTS, which):
        rows[name].append(tuple(counted))
    return {name: _counts(name, attempts[name], found) for name, found in rows.items()}


def _counts(session_id: str, attempt: int, rows: Sequence[Row]) -> ReadCounts:
    counts = tuple(
        ImageCount(session_id, attempt, ImageResult(result), images, at_ms)
        for result, images, at_ms in rows
        if result in RESULTS and is_in(images, IMAGES) and is_in(at_ms, MILLISECONDS)
    )
    return ReadCounts(counts, len(rows) - len(counts))


def is_in(value: object, values: range) -> bool:
    """Return whether a value that was read is an integer, and none but those of the range."""
    return type(value) is int and value in values
