"""Looks for what is left of a session that is not in memory, before it is registered."""

from bridge.errors import StorageError
from bridge.receiver.dependencies import StreamDependencies
from bridge.session import Session
from bridge.threads import ThreadLimiter

THREADS = 4

WAITING_LIMIT = 10_000
"""Registrations that may wait: a fleet registers at once when its bridge is back."""


class ArchiveLookup:
    """Looks on the disk, which may hang, in a few threads of its own."""

    def __init__(self, deps: StreamDependencies) -> None:
        """Look where the dependencies say."""
        self._deps = deps
        self._threads = ThreadLimiter("archived sessions", THREADS, waiting_limit=WAITING_LIMIT)

    async def find(self, session_id: str) -> tuple[Session | None, int]:
        """Return a session that has expired, or None and the last attempt that images alone are left of; 0: none.

        Raises StorageError.
        """
        deps = self._deps
        if not session_id or deps.sessions.find(session_id) is not None:
            return None, 0
        found: tuple[Session | None, int] = (None, 0)
        if not deps.is_being_archived(session_id):
            found = await self._threads.run(lambda: self._read(session_id))
        if deps.is_being_archived(session_id):
            raise StorageError(f"{session_id} has just expired, and is not on disk yet")
        return found

    def _read(self, session_id: str) -> tuple[Session | None, int]:
        archived = self._deps.load_archived(session_id)
        return archived, self._deps.last_attempt_with_images(session_id) if archived is None else 0
