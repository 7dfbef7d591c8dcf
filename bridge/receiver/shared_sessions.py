"""Brings sessions here whose clients come to this bridge, where several share a database."""

import time
from collections.abc import Sequence

from bridge.admission import Caller
from bridge.errors import ForeignSessionError, InvalidDataError, StorageError
from bridge.model import Client, Stage, Update
from bridge.protocol import SESSION_ID
from bridge.receiver.decode import Result
from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.endings import NOT_TO_BE_HAD
from bridge.receiver.stream import Stream
from bridge.session import Session
from bridge.threads import ThreadLimiter

THREADS = 8

WAITING_LIMIT = 10_000
"""Calls that may wait: a fleet comes at once when its bridge is gone."""

UNKNOWN_SECONDS = 1.0
"""A stream of a session that nobody knows is not looked up more often."""


class SessionsElsewhere:
    """Takes the sessions of callers from the bridges that had them before."""

    def __init__(self, deps: StreamDependencies) -> None:
        """Ask what the dependencies say, where bridges share a database; else do nothing."""
        self._deps = deps
        self._threads = ThreadLimiter("shared sessions", THREADS, waiting_limit=WAITING_LIMIT)

    async def before_registration(self, session_id: str, client: Client) -> None:
        """Bring a session here whose client registers.

        Raises ForeignSessionError where another client has it, on whichever bridge that is: it is left alone. Raises
        StorageError.
        """
        shared = self._deps.shared
        if shared is None or not self._is_elsewhere(session_id):
            return
        last = await self._checkpointed(session_id)
        if last is not None and _is_anothers(last, client):
            now = await shared.find(session_id)
            if now is not None:
                self._deps.sessions.check_elsewhere(now, client)
        await shared.acquire(session_id)

    async def after_registration(self, session: Session) -> None:
        """Wait until other bridges can know of it: the stream may come to any of them.

        Raises StorageError where that shows that another bridge had the session already: what is known of it here is
        old, and nothing of the registration is written.
        """
        if self._deps.shared is None:
            return
        await self._deps.shared.committed()
        if self._deps.sessions.find(session.id) is not session:
            raise StorageError("another bridge has taken this session meanwhile")

    async def before_stream(self, stream: Stream, results: Sequence[Result]) -> None:
        """Bring the session here that a stream is going to belong to, if its caller may speak for it.

        Where the database does not answer, the stream ends.
        """
        shared = self._deps.shared
        if shared is None or stream.session_id or time.monotonic() < stream.looked_up_until:
            return
        name = next(filter(None, map(_session_of, results)), "")
        if not self._is_elsewhere(name):
            return
        try:
            if await self._may_come(name, stream.caller):
                await shared.acquire(name)
            else:
                stream.looked_up_until = time.monotonic() + UNKNOWN_SECONDS
        except StorageError as error:
            self._deps.telemetry.storage_failed("sessions of other bridges", error)
            stream.ending = NOT_TO_BE_HAD
            stream.finish()

    def _is_elsewhere(self, session_id: str) -> bool:
        is_name = SESSION_ID.fullmatch(session_id) is not None
        return is_name and self._deps.sessions.find(session_id) is None

    async def _may_come(self, session_id: str, caller: Caller) -> bool:
        if not caller.identity.owns(session_id):
            return False
        last = await self._checkpointed(session_id)
        if last is None:
            return False
        try:
            self._deps.pipeline.admission.check(last, caller)
        except ForeignSessionError:
            return False
        return True

    async def _checkpointed(self, session_id: str) -> Session | None:
        return await self._threads.run(lambda: self._deps.load_archived(session_id))


def lose_stream(deps: StreamDependencies, session_id: str) -> None:
    """End the stream of a session that another bridge has taken."""
    stream = deps.streams.get(session_id)
    if stream is not None:
        stream.lose()


def _is_anothers(last: Session, client: Client) -> bool:
    return last.client.instance_id != client.instance_id and last.stage is not Stage.ENDED


def _session_of(result: Result) -> str:
    return result.session_id if isinstance(result, Update | InvalidDataError) else ""
