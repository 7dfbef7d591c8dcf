"""All sessions of a bridge as rows that can be searched, filtered and sorted."""

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

from aiohttp import web

from bridge.access import Identity
from bridge.session import Session
from bridge.web.dependencies import AppDependencies, Archive, ArchiveEntry
from bridge.web.session_state import may_send, state_of

MAX_SESSIONS = 10_000
"""Lists go no deeper into the archive."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """What lists select a session by."""

    id: str
    state: str
    is_live: bool
    """Whether it may still send."""
    is_connected: bool
    model: str
    text: str
    """Everything that a search looks at, casefolded."""
    registered_at: float
    updated_at: float
    loss: float | None
    """The last one reported; None also where it is not finite."""
    run_id: str = ""
    """The run that it is a rank of; "": not reported."""
    rank: int | None = None


@dataclass(slots=True)
class SessionCatalog:
    """Reads each archived session once, however often lists are asked for."""

    deps: AppDependencies
    _archived: dict[str, tuple[ArchiveEntry, SessionRow | None]] = field(default_factory=dict)
    """By session; None where it cannot be read, which is not tried again before it changes."""
    _reading: Lock = field(default_factory=Lock)

    async def rows(self, identity: Identity) -> list[SessionRow]:
        """Return the sessions that somebody may see, in no order; memory wins over the archive."""
        in_memory = {session.id: row_of(session) for session in self.deps.sessions}
        archived = await asyncio.to_thread(self._read_archive, frozenset(in_memory))
        return [row for row in (*in_memory.values(), *archived) if identity.owns(row.id)]

    async def load(self, rows: Iterable[SessionRow]) -> list[Session]:
        """Return the sessions of rows, without those that have been removed meanwhile."""
        rows = list(rows)
        missing = [row.id for row in rows if self.deps.sessions.find(row.id) is None]
        find = self.deps.archive.find
        found = await asyncio.to_thread(lambda: {one: find(one) for one in missing})
        sessions = (self.deps.sessions.find(row.id) or found.get(row.id) for row in rows)
        return [session for session in sessions if session is not None]

    def _read_archive(self, in_memory: frozenset[str]) -> list[SessionRow]:
        with self._reading:
            archive = self.deps.archive
            fresh = {}
            for entry in archive.entries(MAX_SESSIONS):
                if entry.session_id in in_memory:
                    continue
                known = self._archived.get(entry.session_id)
                if known is None or known[0] != entry:
                    known = (entry, _read(archive, entry))
                fresh[entry.session_id] = known
            self._archived = fresh
        return [row for _, row in fresh.values() if row is not None]


CATALOG = web.AppKey("catalog", SessionCatalog)


def row_of(session: Session) -> SessionRow:
    """Return the row of a session."""
    config, client = session.config, session.client
    labels = (f"{name}={value}" for name, value in client.labels.items())
    texts = (
        *(session.id, config.model_name, config.dataset_name, client.name, client.run_id),
        *labels,
    )
    loss = session.loss
    return SessionRow(
        session.id,
        state_of(session),
        may_send(session),
        session.connected,
        config.model_name,
        "\n".join(texts).casefold(),
        session.registered_at,
        session.updated_at,
        loss if loss is not None and math.isfinite(loss) else None,
        client.run_id,
        client.rank,
    )


def _read(archive: Archive, entry: ArchiveEntry) -> SessionRow | None:
    session = archive.find(entry.session_id)
    return None if session is None else row_of(session)
