"""How old is what is shown of a session whose bridge does not answer."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from bridge.session import Session
from bridge.web.dependencies import OWN_DEPENDENCIES, Archive, ArchiveEntry, deps_of
from bridge.web.formatting import ago
from bridge.web.peers.sharing import Peer

HEADER = "trainbridge-stale-seconds"
"""Of every answer that is made of a checkpoint, since the bridge that has the session does not answer."""

SHORTEST_AGE = 2.0
"""In words there is none that is shorter."""


@dataclass(slots=True)
class Staleness:
    """A session is read from its last checkpoint, since its bridge does not answer."""

    owner: Peer
    as_of: float | None = None
    """When the session was last heard of, as far as is known here, in seconds since 1970; None: it was not read."""

    @property
    def seconds(self) -> float | None:
        """How long ago that was."""
        return None if self.as_of is None else max(0.0, time.time() - self.as_of)


STALENESS = web.RequestKey("staleness", Staleness)


def show_checkpoint(request: web.Request, owner: Peer) -> Staleness:
    """Have a request answered from the last checkpoint of a session, and return how old that turns out to be."""
    staleness, deps = Staleness(owner), deps_of(request)
    request[STALENESS] = staleness
    request[OWN_DEPENDENCIES] = replace(deps, archive=TimedArchive(deps.archive, staleness))
    return staleness


def stale_seconds(request: web.Request) -> float | None:
    """Return how old is what is known of the session of a request; None: it is up to date."""
    return request[STALENESS].seconds if STALENESS in request else None


def stale_note(request: web.Request) -> str:
    """Return how old is what a page shows, and why; "": it is up to date."""
    seconds = stale_seconds(request)
    if seconds is None:
        return ""
    age, owner = ago(max(seconds, SHORTEST_AGE)), request[STALENESS].owner.bridge_id
    return f"As of {age}: bridge {owner}, which has this session, does not answer."


@dataclass(frozen=True, slots=True)
class TimedArchive:
    """An archive that notes as of when the session is that is read from it."""

    archive: Archive
    staleness: Staleness

    def find(self, session_id: str, attempt: int | None = None, /) -> Session | None:
        """Return an attempt of a session, and note its time where that is the newest."""
        session = self.archive.find(session_id, attempt)
        return session if attempt is not None else self._noted(session)

    def last_written(self, session_id: str, /) -> Session | None:
        """Return the newest attempt, and note its time."""
        return self._noted(self.archive.last_written(session_id))

    def summaries(self, session_ids: Collection[str], /) -> Mapping[str, Session]:
        """Return what lists say of sessions, as the archive does."""
        return self.archive.summaries(session_ids)

    def entries(self, limit: int, /) -> Sequence[ArchiveEntry]:
        """Return the entries of the archive."""
        return self.archive.entries(limit)

    def attempts(self, session_id: str, /) -> Sequence[ArchiveEntry]:
        """Return the attempts in the archive."""
        return self.archive.attempts(session_id)

    def _noted(self, session: Session | None) -> Session | None:
        if session is not None:
            self.staleness.as_of = session.updated_at
        return session
