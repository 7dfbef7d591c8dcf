"""How many images had which result, by session attempt; exact even after a kill."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bridge.model import ImageResult
from bridge.storage.database import Database
from bridge.storage.transaction import Transaction

RESTORED_KEY = "images"
"""The key of the counts in `Session.restored_state`: from their own table, not from a checkpoint."""

IMAGES = range(2**53)
"""The counts a row may have: above, a series is no longer exact."""

MILLISECONDS = range(2**63)

IS_SOUND = (
    f"typeof(images) = 'integer' AND images >= 0 AND images < {IMAGES.stop}"
    " AND typeof(at_ms) = 'integer' AND at_ms >= 0"
)
"""Rows that `counts_of` accepts; one that it does not starts again at 0, as the counts in memory did."""

ADD = (
    "INSERT INTO tallies (session_id, attempt, result, images, at_ms) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 -- constants
    " ON CONFLICT DO UPDATE SET"
    f" images = CASE WHEN {IS_SOUND} THEN images ELSE 0 END + excluded.images,"
    f" at_ms = CASE WHEN {IS_SOUND} THEN max(at_ms, excluded.at_ms) ELSE excluded.at_ms END"
)
RESULTS = frozenset(result.value for result in ImageResult)

SELECT = "SELECT result, images, at_ms FROM tallies WHERE session_id = ? AND attempt = ?"


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
    transaction.executemany(
        ADD, [(c.session_id, c.attempt, c.result.value, c.images, c.at_ms) for c in counts]
    )


def counts_of(database: Database, session_id: str, attempt: int) -> ReadCounts:
    """Return what has been counted of a session attempt."""
    rows = database.query(SELECT, (session_id, attempt))
    counts = tuple(
        ImageCount(session_id, attempt, ImageResult(result), images, at_ms)
        for result, images, at_ms in rows
        if result in RESULTS and is_in(images, IMAGES) and is_in(at_ms, MILLISECONDS)
    )
    return ReadCounts(counts, len(rows) - len(counts))


def is_in(value: object, values: range) -> bool:
    """Return whether a value that was read is an integer, and none but those of the range."""
    return type(value) is int and value in values
