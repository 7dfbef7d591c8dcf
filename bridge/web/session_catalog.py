"""All sessions of a bridge as rows that can be searched, filtered and sorted."""

import asyncio
import math
from collections.abc import Container, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

from aiohttp import web

from bridge.access import Identity
from bridge.errors import StorageError
from bridge.session import Session
from bridge.web.database_absence import DatabaseAbsence
from bridge.web.dependencies import AppDependencies, ArchiveEntry
from bridge.web.session_state import may_send, state_of

MAX_SESSIONS = 10_000
"""Lists go no deeper into the archive."""

SUMMARIES_AT_ONCE = 1_000


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


@dataclass(frozen=True, slots=True)
class _Known:
    version: Hashable
    row: SessionRow | None
    """None: it cannot be read, which is not tried again before it changes."""


@dataclass(slots=True)
class SessionCatalog:
    """Reads each archived session once, however often lists are asked for."""

    deps: AppDependencies
    absence: DatabaseAbsence
    _archived: dict[str, _Known] = field(default_factory=dict)
    """By session."""
    _reading: Lock = field(default_factory=Lock)

    async def rows(self, identity: Identity) -> list[SessionRow]:
        """Return the sessions that somebody may see, in no order; memory wins over the archive."""
        in_memory = {session.id: row_of(session) for session in self.deps.sessions}
        archived = await asyncio.to_thread(self._read_archive, frozenset(in_memory))
        return [row for row in (*in_memory.values(), *archived) if identity.owns(row.id)]

    async def load(self, rows: Iterable[SessionRow], *, or_fewer: bool = False) -> list[Session]:
        """Return the sessions of rows, without those that have been removed meanwhile.

        `or_fewer`: those in memory are enough while a database that bridges share does not answer.
        """
        rows = list(rows)
        missing = [row.id for row in rows if self.deps.sessions.find(row.id) is None]
        is_away = or_fewer and self.absence.is_known
        wanted = () if is_away else missing
        found = await asyncio.to_thread(lambda: self._found(wanted, or_fewer=or_fewer))
        sessions = (self.deps.sessions.find(row.id) or found.get(row.id) for row in rows)
        return [session for session in sessions if session is not None]

    def _found(self, missing: Iterable[str], *, or_fewer: bool) -> dict[str, Session | None]:
        found: dict[str, Session | None] = {}
        try:
            for name in missing:
                found[name] = self.deps.archive.find(name)
        except StorageError:
            if not (or_fewer and self.absence.is_shared):
                raise
            self.absence.note()
        return found

    def _read_archive(self, in_memory: frozenset[str]) -> list[SessionRow]:
        """Return the sessions that are not in memory; while the database is away, as they were read last."""
        if not self.absence.is_known:
            try:
                return self._read_changes(in_memory)
            except StorageError:
                if not self.absence.is_shared:
                    raise
                self.absence.note()
        known = self._archived
        rows = ((name, one.row) for name, one in known.items())
        return [row for name, row in rows if row is not None and name not in in_memory]

    def _read_changes(self, in_memory: frozenset[str]) -> list[SessionRow]:
        with self._reading:
            entries = {
                entry.session_id: entry
                for entry in self.deps.archive.entries(MAX_SESSIONS)
                if entry.session_id not in in_memory
            }
            elsewhere = self.deps.peers.elsewhere()
            before = self._archived
            versions = {
                name: (entry.version, elsewhere.get(name, "")) for name, entry in entries.items()
            }
            known = {
                name: before[name]
                for name, version in versions.items()
                if name in before and before[name].version == version
            }
            changed = [name for name in versions if name not in known]
            known |= {
                name: _Known(versions[name], row) for name, row in self._read(changed, elsewhere)
            }
            self._archived = known
        rows = ((entries[name], one.row) for name, one in known.items())
        return [_as_seen(row, entry) for entry, row in rows if row is not None]

    def _read(
        self, names: Sequence[str], elsewhere: Container[str]
    ) -> Iterator[tuple[str, SessionRow | None]]:
        """Yield the rows of sessions, from summaries where there are any: other bridges write sessions all the time."""
        archive = self.deps.archive
        for start in range(0, len(names), SUMMARIES_AT_ONCE):
            some = names[start : start + SUMMARIES_AT_ONCE]
            summaries = archive.summaries(some)
            for name in some:
                session = summaries.get(name) or archive.find(name)
                if session is not None and name not in elsewhere:
                    session.connected = False
                yield name, None if session is None else row_of(session)


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


def _as_seen(row: SessionRow, entry: ArchiveEntry) -> SessionRow:
    """Return a row with when the session was last heard of."""
    seen_at = entry.updated_ms / 1000
    return row if seen_at <= row.updated_at else replace(row, updated_at=seen_at)
