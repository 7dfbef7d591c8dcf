"""What a bridge is to somebody who may see some of its sessions: as if there were no others."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.access import Identity
from bridge.session import Session
from bridge.web.dependencies import (
    AppDependencies,
    Archive,
    ArchiveEntry,
    KnownSessions,
    StoredSession,
    StoredSessions,
)

Owns = Callable[[str], bool]


def deps_for(deps: AppDependencies, identity: Identity) -> AppDependencies:
    """Return dependencies in which there are no sessions but an identity's own."""
    if not identity.sessions:
        return deps
    return replace(
        deps,
        sessions=OwnSessions(deps.sessions, identity.owns),
        archive=OwnArchive(deps.archive, identity.owns),
        stored_sessions=OwnStoredSessions(deps.stored_sessions, identity.owns),
    )


@dataclass(frozen=True, slots=True)
class OwnSessions:
    """The sessions in memory that somebody may see."""

    all: KnownSessions
    owns: Owns

    def find(self, session_id: str, /) -> Session | None:
        """Return a session of one's own, or None."""
        return self.all.find(session_id) if self.owns(session_id) else None

    def __iter__(self) -> Iterator[Session]:
        """Yield one's own sessions."""
        return (session for session in self.all if self.owns(session.id))


@dataclass(frozen=True, slots=True)
class OwnArchive:
    """The archived sessions that somebody may see."""

    all: Archive
    owns: Owns

    def find(self, session_id: str, attempt: int | None = None, /) -> Session | None:
        """Return an attempt of a session of one's own, or None."""
        return self.all.find(session_id, attempt) if self.owns(session_id) else None

    def last_written(self, session_id: str, /) -> Session | None:
        """Return a session of one's own, or None."""
        return self.all.last_written(session_id) if self.owns(session_id) else None

    def summaries(self, session_ids: Collection[str], /) -> Mapping[str, Session]:
        """Return what lists say of one's own sessions."""
        return self.all.summaries([name for name in session_ids if self.owns(name)])

    def entries(self, limit: int, /) -> Sequence[ArchiveEntry]:
        """Return the entries of one's own sessions among the `limit` newest of all."""
        return [entry for entry in self.all.entries(limit) if self.owns(entry.session_id)]

    def attempts(self, session_id: str, /) -> Sequence[ArchiveEntry]:
        """Return the attempts of a session of one's own."""
        return self.all.attempts(session_id) if self.owns(session_id) else ()


@dataclass(frozen=True, slots=True)
class OwnStoredSessions:
    """The sessions in the object store that somebody may see."""

    all: StoredSessions
    owns: Owns

    async def find(
        self, session_id: str, /, *, is_known: bool, wait_seconds: float
    ) -> StoredSession | None:
        """Return what the store has of a session of one's own, or None."""
        if not self.owns(session_id):
            return None
        return await self.all.find(session_id, is_known=is_known, wait_seconds=wait_seconds)
