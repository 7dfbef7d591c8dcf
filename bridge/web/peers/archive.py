"""An archive in which sessions that other bridges have are as those last wrote them, and not as if nobody had them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bridge.session import Session
from bridge.web.dependencies import Archive, ArchiveEntry
from bridge.web.peers.sharing import Peers


@dataclass(frozen=True, slots=True)
class SharedArchive:
    """The sessions that are not in the memory of this bridge."""

    archive: Archive
    peers: Peers

    def find(self, session_id: str, attempt: int | None = None, /) -> Session | None:
        """Return an attempt of a session; the newest is connected where it was, and another bridge has it."""
        if attempt is None and self.peers.owner_of(session_id) is not None:
            return self.archive.last_written(session_id)
        return self.archive.find(session_id, attempt)

    def last_written(self, session_id: str, /) -> Session | None:
        """Return the newest attempt as the archive does."""
        return self.archive.last_written(session_id)

    def summaries(self, session_ids: Collection[str], /) -> Mapping[str, Session]:
        """Return what lists say of sessions, as the archive does."""
        return self.archive.summaries(session_ids)

    def entries(self, limit: int, /) -> Sequence[ArchiveEntry]:
        """Return the entries of the archive."""
        return self.archive.entries(limit)

    def attempts(self, session_id: str, /) -> Sequence[ArchiveEntry]:
        """Return the attempts in the archive."""
        return self.archive.attempts(session_id)
