"""What is on disk of each session, for pages, and for those that come back."""

import logging
from typing import Any

from bridge.errors import StorageError
from bridge.session import Session
from bridge.sinks.journal.soundness import check_session
from bridge.storage import image_counts
from bridge.storage.database import Database
from bridge.storage.journal import NUMBERS_END, Checkpoint, JournalRows, milliseconds
from bridge.storage.packed import sealed, unsealed

log = logging.getLogger("bridge")

SESSION = "session"
"""The part of a checkpoint that is the session itself; the others belong to sinks."""


class Archive:
    """Reads checkpoints; every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        """Read from the database given."""
        self._rows = JournalRows(database)

    def find(self, session_id: str) -> Session | None:
        """Return the last attempt of a session as it was last written, or None; nobody is connected to it."""
        checkpoint = self._rows.find(session_id)
        return None if checkpoint is None else _at_rest(checkpoint)

    def recall(self, session_id: str) -> Session | None:
        """Return a session as `find` does, with all that its sinks need to go on with it."""
        session = self.find(session_id)
        if session is not None:
            session.parts[image_counts.PART] = self._rows.images(session_id, session.attempt).counts
        return session

    def recent(self, limit: int) -> list[Session]:
        """Return the sessions registered last, newest first."""
        found = map(_at_rest, self._rows.recent(limit))
        return [session for session in found if session is not None]


def checkpoint_of(
    session: Session, through: int, parts: dict[str, Any], *, is_held: bool
) -> Checkpoint:
    """Return what is written of a session as it stood at a place in the journal.

    `is_held`: it is in memory, and the next start takes it up, whatever the clock says by then.
    """
    state = parts[SESSION]
    return Checkpoint(
        session.id,
        milliseconds(state["registered_at"]),
        milliseconds(state["updated_at"]),
        0 if is_held else milliseconds(state["ended_at"]),
        through,
        sealed(parts),
    )


def session_of(checkpoint: Checkpoint) -> Session:
    """Return a session as it stood; raises StorageError for bytes that make no sense."""
    parts = unsealed(checkpoint.state)
    try:
        _check_place(checkpoint.through)
        session = Session.restored(parts.pop(SESSION))
        check_session(session, checkpoint.session_id)
        session.updated_at = max(session.updated_at, checkpoint.updated_ms / 1000)
    except Exception as error:
        raise StorageError(f"the session {checkpoint.session_id} is damaged: {error!r}") from error
    session.parts = parts
    return session


def _check_place(through: object) -> None:
    if type(through) is not int or not 0 <= through < NUMBERS_END:
        raise ValueError(f"it includes the journal through {through!r}")


def _at_rest(checkpoint: Checkpoint) -> Session | None:
    """Return a session that nobody is connected to; None where its row is damaged, which costs it alone."""
    try:
        session = session_of(checkpoint)
    except StorageError:
        log.exception("failed", extra={"fields": {"where": "archive"}})
        return None
    session.connected = False
    return session
