"""How many images came to what, by session attempt; it is exact, also after a kill."""

from collections.abc import Iterable
from typing import NamedTuple

from bridge.model import ImageResult
from bridge.storage.database import Database, Transaction

PART = "images"
"""What the counts of a session from before are called among its parts; no checkpoint holds them."""

ADD = (
    "INSERT INTO tallies (session_id, attempt, result, images, at_ms) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET images = images + excluded.images,"
    " at_ms = max(at_ms, excluded.at_ms)"
)
OF = "SELECT result, images, at_ms FROM tallies WHERE session_id = ? AND attempt = ?"


class Counted(NamedTuple):
    """Images of one session attempt that came to the same."""

    session_id: str
    attempt: int
    result: ImageResult
    images: int
    at_ms: int
    """When the newest of them was received, in milliseconds since 1970."""


def add_counts(transaction: Transaction, counts: Iterable[Counted]) -> None:
    """Add to what is counted."""
    transaction.executemany(
        ADD, [(c.session_id, c.attempt, c.result.value, c.images, c.at_ms) for c in counts]
    )


def counts_of(database: Database, session_id: str, attempt: int) -> list[Counted]:
    """Return what has been counted of a session attempt."""
    return [
        Counted(session_id, attempt, ImageResult(result), images, at_ms)
        for result, images, at_ms in database.query(OF, (session_id, attempt))
    ]
