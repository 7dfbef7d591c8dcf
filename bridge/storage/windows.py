"""The candidates of open windows, so that a kill does not cost the image of a spike that was just acknowledged."""

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, select

from bridge.storage.database import Database
from bridge.storage.packed import packed
from bridge.storage.schema import OWNERS, WINDOWS
from bridge.storage.statements import Statement, upsert
from bridge.storage.transaction import Transaction

PUT = upsert(WINDOWS)
CLEAR = Statement(delete(WINDOWS).where(WINDOWS.c.session_id == bindparam("name")))
_HELD = select(WINDOWS.c.session_id, WINDOWS.c.offer)
HELD = Statement(_HELD)
HELD_BY = Statement(
    _HELD.join(OWNERS, OWNERS.c.session_id == WINDOWS.c.session_id).where(
        OWNERS.c.bridge_id == bindparam("bridge")
    )
)


def put_windows(transaction: Transaction, windows: Iterable[tuple[str, object]]) -> int:
    """Write the candidate of each session's window, as plain values; None: the window is closed.

    Returns how many could not be written: a kill costs these their batch.
    """
    unwritable = 0
    for session_id, candidate in windows:
        try:
            data = None if candidate is None else packed(candidate)
        except ValueError:
            data, unwritable = None, unwritable + 1
        if data is None:
            transaction.execute(CLEAR, {"name": session_id})
        else:
            transaction.execute(PUT, {"session_id": session_id, "offer": data})
    return unwritable


def held_windows(database: Database) -> list[tuple[str, bytes]]:
    """Return session and packed candidate of each window of this bridge that was open at the last commit."""
    if database.bridge_id:
        rows = database.query(HELD_BY, {"bridge": database.bridge_id})
    else:
        rows = database.query(HELD)
    return [(session_id, candidate) for session_id, candidate in rows]
