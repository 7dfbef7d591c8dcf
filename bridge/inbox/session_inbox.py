"""Where this bridge leaves what is for a session that another one has."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bridge.commands import Command
from bridge.errors import StorageError
from bridge.inbox.command_messages import COMMAND, command_of, message_of
from bridge.session import Session
from bridge.sessions import Sessions
from bridge.storage.inbox import InboxMessage, InboxRows
from bridge.threads import ThreadLimiter

COMMIT_SECONDS = 5.0
"""How long whoever sends something waits until it is known to be kept; after that it is as good as kept."""

MOST_THREADS = 4


class SessionInbox:
    """Takes commands and other messages; what it has taken outlives every bridge."""

    def __init__(
        self,
        rows: InboxRows,
        sessions: Sessions,
        *,
        committed: Callable[[], Awaitable[None]],
        deliver: Callable[[], Awaitable[None]],
    ) -> None:
        """Write to `rows`.

        `committed` waits until all that has happened in this bridge by now is in the database; `deliver` gives the
        sessions of this bridge what waits for them by now.
        """
        self._rows = rows
        self._sessions = sessions
        self._committed = committed
        self._deliver = deliver
        self._threads = ThreadLimiter("inbox", MOST_THREADS)

    async def submit(self, session: Session, command: Command) -> Command:
        """Leave a command for a session, and return it, or the one of the same id that is on its way.

        Raises LimitError where too many messages wait for the session, StorageError.
        """
        message = message_of(command, session.attempt)
        kept = await self._threads.run(lambda: self._rows.add(message))
        return command if kept is message else command_of(kept)[0]

    async def pass_on(self, message: InboxMessage) -> None:
        """Leave anything for a session; raises LimitError, StorageError."""
        await self._threads.run(lambda: self._rows.add(message))

    async def catch_up(self) -> None:
        """Give the sessions of this bridge what waits for them, which was sent before what they are given now."""
        with suppress(StorageError):  # nobody can leave anything now, and what waits comes later
            await self._deliver()

    async def commands(self, session_id: str) -> list[Command]:
        """Return the commands that are on their way to the bridge that has a session; raises StorageError."""
        messages = await self._threads.run(lambda: self._rows.of(session_id))
        found = []
        for message in messages:
            if message.kind == COMMAND:
                with suppress(StorageError):  # a damaged one is counted where it is taken
                    found.append(command_of(message)[0])
        return found

    async def is_kept(self, session: Session) -> bool:
        """Return whether what a session in memory has just been given is in the database.

        False: another bridge has the session meanwhile, and has not seen it.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(COMMIT_SECONDS):
                await self._committed()
        return self._sessions.find(session.id) is session
