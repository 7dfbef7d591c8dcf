"""What open windows hold, so that a kill does not cost the image of a spike that was just acknowledged."""

from collections.abc import Iterable
from typing import Any

from bridge.storage.database import Database, Transaction
from bridge.storage.packed import packed, unpacked

PUT = "INSERT OR REPLACE INTO windows (session_id, offer) VALUES (?, ?)"
CLEAR = "DELETE FROM windows WHERE session_id = ?"


def put_windows(transaction: Transaction, windows: Iterable[tuple[str, object]]) -> None:
    """Write what the window of each session holds, as plain values; None: it is closed."""
    for session_id, offer in windows:
        if offer is None:
            transaction.execute(CLEAR, (session_id,))
        else:
            transaction.execute(PUT, (session_id, packed(offer)))


def held_windows(database: Database) -> list[Any]:
    """Return what was written and not cleared; raises StorageError for what is damaged."""
    return [unpacked(offer) for [offer] in database.query("SELECT offer FROM windows")]
