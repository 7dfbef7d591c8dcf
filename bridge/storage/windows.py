"""What open windows hold, so that a kill does not cost the image of a spike that was just acknowledged."""

from collections.abc import Iterable

from bridge.storage.database import Database, Transaction
from bridge.storage.packed import packed

PUT = "INSERT OR REPLACE INTO windows (session_id, offer) VALUES (?, ?)"
CLEAR = "DELETE FROM windows WHERE session_id = ?"


def put_windows(transaction: Transaction, windows: Iterable[tuple[str, object]]) -> int:
    """Write what the window of each session holds, as plain values; None: it is closed.

    Return how many could not be written: a kill costs these their batch.
    """
    unwritable = 0
    for session_id, offer in windows:
        try:
            data = None if offer is None else packed(offer)
        except ValueError:
            data, unwritable = None, unwritable + 1
        if data is None:
            transaction.execute(CLEAR, (session_id,))
        else:
            transaction.execute(PUT, (session_id, data))
    return unwritable


def held_windows(database: Database) -> list[tuple[str, bytes]]:
    """Return the session and the packed value of each window that was written and not cleared."""
    rows = database.query("SELECT session_id, offer FROM windows")
    return [(session_id, offer) for session_id, offer in rows]
