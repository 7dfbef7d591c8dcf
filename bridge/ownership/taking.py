"""Takes sessions, many at once where many are asked for: a fleet moves when its bridge is gone."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import Protocol

from bridge.background import running_beside
from bridge.errors import StorageError
from bridge.session import Session
from bridge.sinks.journal.restoration import Restoration
from bridge.sinks.journal.takeover import FoundSession, find_sessions, read_rows, restored
from bridge.storage.database import SharedDatabase
from bridge.storage.owners import OwnerRows
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

SESSIONS_PER_TURN = 1_024
"""The journal of the bridge that had them is read once in a turn."""

SESSIONS_AT_ONCE = 32
"""Of a turn so many are read and restored before the next ones: their clients wait for no others."""

RECENT_SECONDS = 60.0
"""Within this time after a session was taken its client may still be on its way."""


class Receiver(Protocol):
    """Who goes on with a session that has been taken."""

    def __call__(self, session: Session, window: bytes | None, /, *, is_expected: bool) -> None:
        """Go on with it as it stands; `window` is the candidate of its open window of images."""


class Taking:
    """Becomes the owner of sessions, reads them, and restores them in memory."""

    def __init__(
        self,
        database: SharedDatabase,
        rows: OwnerRows,
        restoration: Restoration,
        telemetry: Telemetry,
        *,
        go_on: Receiver,
        catch_up: Callable[[], object],
        is_here: Callable[[str], bool],
    ) -> None:
        """Restore by `restoration`, then `go_on`; `catch_up` has a commit find out what this bridge has lost.

        What `is_here` by then is not restored once more: it may have gone on meanwhile.
        """
        self._database = database
        self._rows = rows
        self._restoration = restoration
        self._telemetry = telemetry
        self._go_on = go_on
        self._catch_up = catch_up
        self._is_here = is_here
        self._wanted: dict[str, asyncio.Future[bool]] = {}
        self._taken_at: dict[str, float] = {}
        self._adopting: set[str] = set()
        """Which are on their way, and nobody has asked for; else another bridge may have had one since it was read."""
        self._is_wanted = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take what is asked for until the block is left."""
        async with running_beside(self._run(), name="taking sessions"):
            yield

    async def take(self, session_id: str) -> bool:
        """Become the owner of a session; False: another bridge took it at the same moment. Raises StorageError."""
        self._adopting.discard(session_id)
        answer = self._wanted.get(session_id)
        if answer is None:
            answer = self._wanted[session_id] = asyncio.get_running_loop().create_future()
            self._is_wanted.set()
        return await asyncio.shield(answer)

    async def adopt(self, names: Sequence[str]) -> list[str]:
        """Restore sessions of this bridge whose clients may never come back; who asks for one gets it as it is by then.

        Returns those of which there is nothing to restore, and that nobody has asked for meanwhile. Raises StorageError.
        """
        self._adopting = set(names).difference(self._wanted)
        async for _ in self._restore(names, is_expected=False):
            pass
        return [name for name in self._adopting if not self._is_here(name)]

    def peek(self, session_id: str) -> Session | None:
        """Return a session as it stands in the database, without taking it; blocks, and raises StorageError."""
        alone = Restoration((), self._telemetry)
        rows = read_rows(self._database, [session_id], alone)
        for found in find_sessions(self._database, [session_id], rows, alone):
            return restored(found, alone)
        return None

    def taken_at(self, session_id: str) -> float:
        """Return when a session was taken, on the monotonic clock; 0: it was not, or long ago."""
        return self._taken_at.get(session_id, 0.0)

    def is_recent(self, session_id: str) -> bool:
        """Return whether a session has been taken a moment ago, or is about to be."""
        is_wanted = session_id in self._wanted
        return is_wanted or time.monotonic() - self.taken_at(session_id) < RECENT_SECONDS

    async def _run(self) -> None:
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            while self._wanted:
                await self._turn(list(self._wanted)[:SESSIONS_PER_TURN])

    async def _turn(self, names: Sequence[str]) -> None:
        """Take some sessions, and answer whoever asked for them."""
        started = time.perf_counter()
        waiting = dict.fromkeys(names)
        try:
            taken = await run_in_daemon_thread(lambda: self._rows.take(names), name="ownership")
            async for some in self._restore(taken.names, is_expected=True):
                self._telemetry.takeovers.taken(len(some), time.perf_counter() - started)
                self._answer(some, is_taken=True)
                for name in some:
                    del waiting[name]
            self._answer(waiting, is_taken=False)
        except StorageError as error:
            self._catch_up()
            self._fail(waiting, error)
        except Exception as error:  # noqa: BLE001 -- the next turn may succeed
            self._telemetry.unexpected_error("ownership", error)
            self._fail(waiting, StorageError("the session cannot be taken"))

    def _answer(self, names: Iterable[str], *, is_taken: bool) -> None:
        for name in names:
            answer = self._wanted.pop(name)
            if not answer.done():
                answer.set_result(is_taken)

    def _fail(self, names: Iterable[str], error: StorageError) -> None:
        for name in names:
            answer = self._wanted.pop(name)
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # whoever asked may be gone

    async def _restore(
        self, names: Sequence[str], *, is_expected: bool
    ) -> AsyncIterator[Sequence[str]]:
        """Read sessions in a thread, and restore them one by one: the loop has others to serve, too.

        Yields which are here, some after the other.
        """
        if not names:
            return
        now = time.monotonic()
        self._taken_at = {
            name: at for name, at in self._taken_at.items() if now - at < RECENT_SECONDS
        } | {name: now for name in names if not self._is_here(name)}
        database, restoration = self._database, self._restoration
        parts = [
            names[start : start + SESSIONS_AT_ONCE]
            for start in range(0, len(names), SESSIONS_AT_ONCE)
        ]
        with _sparing_collections() if len(parts) > 1 else nullcontext(_nothing) as spare:
            rows = await run_in_daemon_thread(
                lambda: read_rows(database, names, restoration), name="ownership"
            )
            for some in parts:
                spare()
                found = await run_in_daemon_thread(
                    partial(find_sessions, database, some, rows, restoration), name="ownership"
                )
                for one in found:
                    name = one.session.id
                    is_due = is_expected or name in self._adopting
                    if is_due and not (one.is_archived or self._is_here(name)):
                        self._restore_one(one, is_expected=is_expected)
                        await asyncio.sleep(0)
                yield some

    def _restore_one(self, found: FoundSession, *, is_expected: bool) -> None:
        session = restored(found, self._restoration)
        if session is not None:
            self._go_on(session, found.window, is_expected=is_expected)


@contextmanager
def _sparing_collections() -> Iterator[Callable[[], None]]:
    """Have the garbage collector leave alone what is there now, or when the function yielded was called, until the block is left.

    Else it walks through all sessions of the bridge again and again while their number grows, and nobody gets an Ack
    for a tenth of a second each time.
    """
    gc.freeze()
    try:
        yield gc.freeze
    finally:
        gc.unfreeze()


def _nothing() -> None:
    """Do nothing: few sessions are worth no more."""
