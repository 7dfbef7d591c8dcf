"""Reads sessions from their checkpoints: for pages, and for clients that come back."""

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from bridge.errors import StorageError
from bridge.session import Session
from bridge.session_snapshot import session_from
from bridge.session_summary import session_from_summary, summary_of
from bridge.sinks.journal.soundness import check_session
from bridge.storage import image_counts
from bridge.storage.database import Database
from bridge.storage.journal import (
    NUMBERS_END,
    Checkpoint,
    CheckpointEntry,
    JournalRows,
    milliseconds,
)
from bridge.storage.packed import packed, sealed, unpacked, unsealed

SESSION = "session"
"""The key in a checkpoint that holds the session itself; the others belong to sinks."""

SUPERSEDED = "superseded"
"""The key in a checkpoint of an attempt that another one has followed: no record in the journal is of it."""


class Archive:
    """Reads checkpoints; every method may be called from any thread."""

    def __init__(
        self, database: Database, *, on_damaged: Callable[[Exception], object] = lambda _error: None
    ) -> None:
        """Read from `database`; `on_damaged` is called with the error for each session that cannot be read."""
        self._rows = JournalRows(database)
        self._on_damaged = on_damaged

    def find(self, session_id: str, attempt: int | None = None) -> Session | None:
        """Return an attempt of a session as it was last written, never as connected; None where there is none.

        Without `attempt` it is the newest one.
        """
        session = self._read(session_id, attempt)
        if session is not None:
            session.connected = False
        return session

    def last_written(self, session_id: str) -> Session | None:
        """Return the newest attempt of a session as `find` does, but as connected where it was: another bridge has it."""
        return self._read(session_id, None)

    def load_archived(self, session_id: str) -> Session | None:
        """Return a session as `find` does, with all that the sinks need to continue it."""
        session = self.find(session_id)
        if session is not None:
            session.restored_state[image_counts.RESTORED_KEY] = self._rows.images(
                session_id, session.attempt
            ).counts
        return session

    def entries(self, limit: int) -> list[CheckpointEntry]:
        """Return an entry for each of the latest registrations, newest first, without reading the sessions."""
        return self._rows.entries(limit)

    def summaries(self, session_ids: Collection[str]) -> dict[str, Session]:
        """Return of sessions, as they were last written, the little that lists say; those that have no summary are left out."""
        found = {}
        for session_id, summary in self._rows.summaries(session_ids).items():
            with suppress(StorageError, KeyError, TypeError, ValueError):  # it is read whole then
                found[session_id] = session_from_summary(unpacked(summary))
        return found

    def attempts(self, session_id: str) -> list[CheckpointEntry]:
        """Return an entry for each attempt of a session, oldest first, without reading them.

        One that has just begun, and whose registration is not on disk yet, is not among them.
        """
        return self._rows.attempts(session_id)

    def _read(self, session_id: str, attempt: int | None) -> Session | None:
        """Return a session as it was written; None where its row is damaged, which costs no other session."""
        checkpoint = self._rows.find(session_id, attempt)
        if checkpoint is None:
            return None
        try:
            session = session_of(checkpoint)
        except StorageError as error:
            self._on_damaged(error)
            return None
        session.restored_state.pop(SUPERSEDED, None)
        return session


def checkpoint_of(
    session: Session, applied_through: int, state: dict[str, Any], *, is_held: bool
) -> Checkpoint:
    """Return what is written of a session as it stood when the group `applied_through` had been applied.

    `is_held`: it is in memory, and the next start restores it, whatever the clock says by then. One that went
    on elsewhere has no end of its own: it is over here since it was last heard of.
    """
    own = state[SESSION]
    return Checkpoint(
        session.id,
        session.attempt,
        milliseconds(own["registered_at"]),
        milliseconds(own["updated_at"]),
        0 if is_held else max(1, milliseconds(own["ended_at"] or own["updated_at"])),
        applied_through,
        sealed(state),
        summary=packed(summary_of(own)),
    )


def session_of(checkpoint: Checkpoint) -> Session:
    """Return a session as it stood; raises StorageError for a checkpoint that is damaged."""
    state = unsealed(checkpoint.state)
    try:
        _check_group_number(checkpoint.applied_through)
        session = session_from(state.pop(SESSION))
        check_session(session, checkpoint.session_id)
        session.updated_at = max(session.updated_at, checkpoint.updated_ms / 1000)
    except Exception as error:
        raise StorageError(f"the session {checkpoint.session_id} is damaged: {error!r}") from error
    session.restored_state = state
    return session


def _check_group_number(number: object) -> None:
    if type(number) is not int or not 0 <= number < NUMBERS_END:
        raise ValueError(f"{number!r} is not the number of a group of the journal")
