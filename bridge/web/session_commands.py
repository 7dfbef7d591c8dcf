"""The commands of a session: those that its bridge has, and those on their way there."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from bridge.commands import CHECKPOINT_KEY, Command, commands_of, expired_at
from bridge.errors import StorageError
from bridge.session import Session
from bridge.web.command_notes import note_of
from bridge.web.database_absence import ABSENCE, DatabaseAbsence
from bridge.web.dependencies import AppDependencies, SessionInbox, deps_of
from bridge.web.session_view import SessionView

PAGE_SECONDS = 0.5
"""How long a page waits for what is on its way: whoever passes a request on gives it a second for everything."""


@dataclass(frozen=True, slots=True)
class SessionCommands:
    """The commands of a session, each once."""

    known: tuple[Command, ...]
    """Those of the bridge that has the session, oldest first; where it does not answer, as of its last checkpoint."""
    underway: tuple[Command, ...] = ()
    """Those that it has not taken yet, oldest first."""

    @property
    def all(self) -> tuple[Command, ...]:
        """All of them, as they came."""
        return (*self.known, *self.underway)

    def note_of(self, command: Command, session: SessionView) -> str:
        """Return why one of them has no answer yet, "" where one may come any moment."""
        return note_of(command, session, is_underway=command in self.underway)


def known_commands(deps: AppDependencies, session: Session) -> Sequence[Command]:
    """Return the commands of a session: of one that another bridge has, those that its checkpoint holds."""
    if deps.inbox is None or deps.sessions.find(session.id) is not None:
        return deps.commands.of(session.id)
    rows = session.restored_state.get(CHECKPOINT_KEY, ())
    return _as_of_now(commands_of(session.id, rows))


async def all_commands(deps: AppDependencies, session: Session) -> SessionCommands:
    """Return the commands of a session; raises StorageError where it is not known what is on its way."""
    found = () if deps.inbox is None else await deps.inbox.commands(session.id)
    return _with_known(deps, session, found)


async def commands_on_page(request: web.Request, session: Session) -> SessionCommands:
    """Return the same for a page, which waits for the database no longer than a moment, and does without."""
    deps, absence = deps_of(request), request.app[ABSENCE]
    found: Sequence[Command] = ()
    if deps.inbox is not None and not absence.is_known:
        with suppress(TimeoutError):
            async with asyncio.timeout(PAGE_SECONDS):
                # What hangs keeps its thread, or there would soon be more of these than are allowed.
                found = await asyncio.shield(_found(deps.inbox, session.id, absence))
    return _with_known(deps, session, found)


async def _found(
    inbox: SessionInbox, session_id: str, absence: DatabaseAbsence
) -> Sequence[Command]:
    try:
        return await inbox.commands(session_id)
    except StorageError:
        absence.note()
        return ()


def _with_known(
    deps: AppDependencies, session: Session, found: Sequence[Command]
) -> SessionCommands:
    known = known_commands(deps, session)
    ids = {command.id for command in known}
    underway = _as_of_now(command for command in found if command.id not in ids)
    return SessionCommands(tuple(known), underway)


def _as_of_now(commands: Iterable[Command]) -> tuple[Command, ...]:
    """Return commands that nobody has looked at for a while: the time of some is over."""
    now = time.time()
    return tuple(expired_at(command, now) for command in commands)
