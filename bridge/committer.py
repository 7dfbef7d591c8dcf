"""Group commit: what all sinks have to keep goes to disk together, then whoever waits is notified."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from bridge.errors import DatabaseLostError, UnwritableError
from bridge.sinks import DurableSink, PendingWrite
from bridge.storage.database import Database, RefusedRow
from bridge.telemetry import Telemetry

COMMIT_SECONDS = 0.01
"""Commits start at least this far apart; what comes in between shares the next one."""

RELAXED_SECONDS = 0.025
"""So far apart when nobody is in a hurry: clients that number their messages need no Ack for each."""

IDLE_SECONDS = 0.25
"""Sinks are asked this often also when nothing arrives, for what time alone makes due."""

RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Waiting before a failed commit is tried again; the last one repeats."""

LOST = (
    "the database was removed, moved or replaced, or overwritten in place: put it back as it was,"
    " or start the bridge again"
)

BEHIND_SECONDS = 60.0
"""A bridge that has written nothing for so long, though it had to, is not ready: others may be."""

PENDING_LIMIT = 100_000
"""Updates that may wait for a commit."""

PENDING_BYTES_LIMIT = 256 << 20
"""Bytes of updates that may wait for a commit."""


class CommitListener(Protocol):
    """Who wants to know when an update has been committed."""

    def on_committed(self, ticket: int) -> None:
        """Everything added with this ticket or an earlier one has been committed."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one commit writes, and who waits for it."""

    ticket: int
    writes: tuple[PendingWrite, ...]
    listeners: frozenset[CommitListener]


class Committer:
    """Writes groups one after the other in one thread; a group that fails is tried until it succeeds."""

    def __init__(
        self,
        durables: Sequence[DurableSink],
        database: Database,
        telemetry: Telemetry,
        *,
        is_durable: bool = True,
    ) -> None:
        """Write the writes of `durables`, in the order given, in one transaction of `database`.

        Not `is_durable`: listeners are notified without waiting for it.
        """
        self._is_durable = is_durable
        self._durables = tuple(durables)
        self._database = database
        self._telemetry = telemetry
        self._ticket = 1
        self._listeners: set[CommitListener] = set()
        self._count = 0
        self._bytes = 0
        self._requested = asyncio.Event()
        self._urgent = asyncio.Event()
        self._stopping = asyncio.Event()
        self._unwritten: tuple[PendingWrite, ...] = ()
        """Of a group that is not on disk yet: the next one takes them along."""
        self._behind_since: float | None = None
        """Since when there is something to write that is not on disk; None: all is."""
        self._error: Exception | None = None
        """Why the last commit failed, while no later one has succeeded."""
        self.is_broken = False
        """The final commit failed: what is in memory and in files is more than the database tells of."""

    @property
    def is_full(self) -> bool:
        """Tell whether too much is waiting for the disk."""
        return self._count >= PENDING_LIMIT or self._bytes >= PENDING_BYTES_LIMIT

    def add_waiter(
        self, listener: CommitListener, size_bytes: int, *, is_urgent: bool = True
    ) -> int:
        """Return the ticket of the commit that takes in all that has been consumed by now."""
        self._listeners.add(listener)
        self._count += 1
        self._bytes += size_bytes
        self._requested.set()
        if is_urgent:
            self._urgent.set()
        return self._ticket

    def problem(self) -> str:
        """Return why nothing is acknowledged any more, or "" where commits succeed, or may soon."""
        if isinstance(self._error, DatabaseLostError):
            return LOST
        if self._behind_since is None:
            return ""
        seconds = time.monotonic() - self._behind_since
        if seconds < BEHIND_SECONDS:
            return ""
        cause = "the disk does not answer" if self._error is None else "see its log"
        return f"nothing has been written to disk for {seconds:.0f} s ({cause})"

    def request_commit(self) -> None:
        """Commit soon, though nobody waits for it."""
        self._requested.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Commit in the background; on the way out everything added is committed, if the disk lets it."""
        with ThreadPoolExecutor(1, thread_name_prefix="commit") as thread:
            task = asyncio.create_task(self._commit_until_stopped(thread), name="commit")
            try:
                yield
            finally:
                self._stopping.set()
                self._requested.set()
                self._urgent.set()
                await task

    async def _commit_until_stopped(self, thread: ThreadPoolExecutor) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            await self._commit(self._group(), thread)
            await asyncio.sleep(max(0.0, COMMIT_SECONDS - (time.monotonic() - started)))
            await _set_within(self._requested, IDLE_SECONDS)
            await _set_within(self._urgent, RELAXED_SECONDS - (time.monotonic() - started))
            self._requested.clear()
            self._urgent.clear()
        await self._commit(self._group(), thread)
        self.is_broken = bool(self._unwritten)

    def _group(self) -> Group:
        """Collect what there is to write.

        Where a durable fails to hand over, it keeps what it has, nothing is written, and nobody is
        notified: what belongs together goes to disk together, the next time.
        """
        writes = list(self._unwritten)
        try:
            for durable in self._durables:
                write = durable.collect()
                if write is not None:
                    writes.append(write)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the next commit tries again
            self._telemetry.unexpected_error("commit", error)
            self._fail(error)
            self._unwritten = tuple(writes)
            return Group(self._ticket - 1, (), frozenset())
        self._unwritten = ()
        group = Group(self._ticket, tuple(writes), frozenset(self._listeners))
        self._ticket += 1
        self._listeners.clear()
        self._count = 0
        self._bytes = 0
        return group

    async def _commit(self, group: Group, thread: ThreadPoolExecutor) -> None:
        if not self._is_durable:
            self._acknowledge(group)
        if group.writes and not await self._written(group.writes, thread):
            self._unwritten = group.writes
            self._listeners |= group.listeners
            return
        for write in group.writes:
            self._tell(write.on_committed)
        if self._is_durable:
            self._acknowledge(group)

    def _acknowledge(self, group: Group) -> None:
        for listener in group.listeners:
            self._tell(partial(listener.on_committed, group.ticket))

    def _tell(self, listener: Callable[[], None]) -> None:
        try:
            listener()
        except Exception as error:  # noqa: BLE001 -- as above
            self._telemetry.unexpected_error("commit", error)

    async def _written(self, writes: tuple[PendingWrite, ...], thread: ThreadPoolExecutor) -> bool:
        """Write until it succeeds, while stopping once only; return whether it did."""
        loop = asyncio.get_running_loop()
        attempt = 0
        self._behind_since = self._behind_since or time.monotonic()
        while True:
            try:
                seconds, refused = await loop.run_in_executor(thread, self._write, writes)
            except Exception as error:  # noqa: BLE001 -- whatever it is, nobody may get a false Ack
                self._fail(error)
            else:
                self._behind_since = self._error = None
                self._telemetry.committed(seconds)
                for row in refused:
                    self._telemetry.row_refused(row.table, row.error)
                return True
            if self._stopping.is_set():
                return False
            pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
            await _set_within(self._stopping, pause)
            attempt += 1

    def _fail(self, error: Exception) -> None:
        self._behind_since = self._behind_since or time.monotonic()
        self._error = error
        self._telemetry.commit_failed(error)

    def _write(self, writes: tuple[PendingWrite, ...]) -> tuple[float, list[RefusedRow]]:
        """Write all writes; where a value cannot be written, all but the rows that have such values."""
        started = time.perf_counter()
        refused: list[RefusedRow] = []
        try:
            self._write_all(writes)
        except UnwritableError:
            self._write_all(writes, refused)
        return time.perf_counter() - started, refused

    def _write_all(
        self, writes: tuple[PendingWrite, ...], refused: list[RefusedRow] | None = None
    ) -> None:
        with self._database.transaction(refused=refused) as transaction:
            for write in writes:
                write.write(transaction)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, or the time is over."""
    if seconds <= 0 or event.is_set():
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
