"""Group commit: what all sinks have to keep goes to disk together, then whoever waits for it is notified."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial

from bridge.commit_group import CommitListener, Fenced, Group, Outcome, Waiter
from bridge.errors import (
    BridgeReplacedError,
    CommitsForgottenError,
    DatabaseLostError,
    UnwritableError,
)
from bridge.sinks import DurableSink, PendingWrite
from bridge.storage.database import Database
from bridge.storage.transaction import RefusedRow
from bridge.telemetry import Telemetry

COMMIT_SECONDS = 0.01
"""Commits start at least this far apart; what comes in between shares the next one."""

RELAXED_SECONDS = 0.025
"""Or this far apart where no waiter is urgent: clients that number their messages need no Ack for each."""

IDLE_SECONDS = 0.25
"""Sinks are asked this often even when nothing arrives, for what time alone makes due."""

RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Delays before a failed commit is tried again; the last one repeats."""

LOST = (
    "the database was removed, moved or replaced, or overwritten in place: put it back as it was,"
    " or start the bridge again"
)

BEHIND_SECONDS = 60.0
"""A bridge that has failed to write for this long is not ready: others may be."""

PENDING_LIMIT = 100_000
"""Updates that may wait for a commit."""

PENDING_BYTES_LIMIT = 256 << 20
"""Bytes of updates that may wait for a commit."""


class Committer:
    """Writes one group after the other, in one thread; what fails is written with the next group."""

    def __init__(
        self,
        durables: Sequence[DurableSink],
        database: Database,
        telemetry: Telemetry,
        *,
        is_durable: bool = True,
        on_fenced: Callable[[Fenced], None] = lambda _fenced: None,
        on_forgotten: Callable[[], None] = lambda: None,
        take_arrived: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Write what `durables` collect, in the order given, in one transaction of `database`.

        Not `is_durable`: listeners are notified without waiting for it. `on_fenced` is called on the event loop,
        before anybody is notified, where another bridge has taken sessions from this one. `on_forgotten` is called where
        the database lacks what it had confirmed, so that the next commit has it. `take_arrived` returns the sessions
        that have come into memory since it was called last.
        """
        self._on_fenced = on_fenced
        self._on_forgotten = on_forgotten
        self._take_arrived = take_arrived
        self._arrived: frozenset[str] = frozenset()
        """Sessions that came into memory, and that no commit has looked at yet."""
        self._is_durable = is_durable
        self._durables = tuple(durables)
        self._database = database
        self._telemetry = telemetry
        self._ticket = 1
        self._listeners: set[CommitListener] = set()
        self._updates = 0
        self._size_bytes = 0
        self._requested = asyncio.Event()
        self._urgent = asyncio.Event()
        self._stopping = asyncio.Event()
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._unwritten: tuple[PendingWrite, ...] = ()
        """Collected, and not on disk yet: the next group takes it along."""
        self._failed: Group | None = None
        """The last group, where its commit failed: it may have been made for all that, and its answer lost."""
        self._fenced: Fenced | None = None
        """What the last attempt to commit found out about sessions that other bridges have taken."""
        self._behind_since: float | None = None
        """Since when there is something to write that is not on disk; None: all is."""
        self._error: Exception | None = None
        """Why the last commit failed, while no later one has succeeded."""

    @property
    def is_full(self) -> bool:
        """Return whether too much is waiting for the disk."""
        return self._updates >= PENDING_LIMIT or self._size_bytes >= PENDING_BYTES_LIMIT

    def add_waiter(
        self, listener: CommitListener, size_bytes: int, *, is_urgent: bool = True
    ) -> int:
        """Return the ticket of the commit that takes in all that has been consumed by now."""
        self._listeners.add(listener)
        self._updates += 1
        self._size_bytes += size_bytes
        self._requested.set()
        if is_urgent:
            self._urgent.set()
        return self._ticket

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be written any more until the bridge is started again."""
        return isinstance(self._error, DatabaseLostError)

    def problem(self) -> str:
        """Return why nothing is acknowledged any more, or "" where commits succeed, or may soon."""
        if isinstance(self._error, BridgeReplacedError):
            return str(self._error)
        if self.is_lost:
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

    async def commit(self) -> bool:
        """Write at once all that has been consumed by now, and return whether it is on disk.

        What the disk refuses is written with the next commit, all of it or nothing.
        """
        # A caller that is cancelled must not take a group along that is half on its way to the disk.
        return await asyncio.shield(self._commit())

    async def committed(self) -> None:
        """Wait until all that has been consumed by now is on disk, however long that takes."""
        waiter = Waiter()
        waiter.ticket = self.add_waiter(waiter, 0)
        await waiter.done

    async def _commit(self) -> bool:
        async with self._turn:
            if self._failed is not None and not await self._settle(self._failed):
                return False
            group = self._collect()
            if group is None:
                return False
            if not self._is_durable:
                self._notify(group)
            if not group.writes:
                self._arrived |= group.arrived
            elif not await self._write(group):
                self._take_back(group)
                return False
            self._finish(group)
            return True

    async def _settle(self, group: Group) -> bool:
        """Finish the group that failed, if it has been committed after all; return whether that is known."""
        loop = asyncio.get_running_loop()
        try:
            is_committed = await loop.run_in_executor(self._thread, self._database.settle)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the next commit asks again
            self._record_failure(error)
            return False
        self._failed = None
        if is_committed:
            self._report_fenced()
            self._unwritten = self._unwritten[len(group.writes) :]
            self._updates -= group.updates
            self._size_bytes -= group.size_bytes
            self._finish(group)
        return True

    def _report_fenced(self) -> None:
        if self._fenced is not None:
            self._call(partial(self._on_fenced, self._fenced))

    def _finish(self, group: Group) -> None:
        for write in group.writes:
            self._call(write.on_committed)
        if self._is_durable:
            self._notify(group)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Commit in the background; on the way out everything added is committed, if the disk lets it."""
        with self._thread:
            task = asyncio.create_task(self._run(), name="commit")
            try:
                yield
            finally:
                self._stopping.set()
                self._requested.set()
                self._urgent.set()
                await task

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            if await self._commit():
                failures = 0
                await self._wait_for_group(started)
            else:
                await _wait(self._stopping, RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
        # Nobody comes after this one, so a refusal is not final before it has come twice.
        if not await self._commit():
            await self._commit()

    async def _wait_for_group(self, started: float) -> None:
        """Wait until the next commit is worth its fsync."""
        # An fsync costs the same for one update as for hundreds: what arrives meanwhile shares the next one.
        await asyncio.sleep(max(0.0, COMMIT_SECONDS - (time.monotonic() - started)))
        # Nothing has arrived: there is nothing to write, but for what time makes due in the sinks.
        await _wait(self._requested, IDLE_SECONDS)
        # Something has arrived, but no client stands still until its Ack: more of it fits into this group.
        await _wait(self._urgent, RELAXED_SECONDS - (time.monotonic() - started))
        self._requested.clear()
        self._urgent.clear()

    def _collect(self) -> Group | None:
        """Collect what there is to write; None where a sink fails to hand over what it has.

        Then nothing is written and nobody is notified: what belongs together goes to disk together, the
        next time.
        """
        writes = list(self._unwritten)
        try:
            for durable in self._durables:
                write = durable.collect()
                if write is not None:
                    writes.append(write)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the next commit tries again
            self._unwritten = tuple(writes)
            self._telemetry.unexpected_error("commit", error)
            self._record_failure(error)
            return None
        group = Group(
            self._ticket,
            tuple(writes),
            frozenset(self._listeners),
            self._updates,
            self._size_bytes,
            self._arrived.union(self._take_arrived()),
            time.monotonic(),
        )
        self._arrived = frozenset()
        self._unwritten = ()
        self._ticket += 1
        self._listeners.clear()
        self._updates = self._size_bytes = 0
        return group

    def _take_back(self, group: Group) -> None:
        self._failed = group
        self._unwritten = group.writes
        self._arrived |= group.arrived
        self._updates += group.updates
        self._size_bytes += group.size_bytes
        if self._is_durable:
            self._listeners |= group.listeners

    def _notify(self, group: Group) -> None:
        for listener in group.listeners:
            self._call(partial(listener.on_committed, group.ticket))

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 -- one stream's fault must not cost the others their Acks
            self._telemetry.unexpected_error("commit", error)

    async def _write(self, group: Group) -> bool:
        """Write in the commit thread, and return whether all of it is on disk."""
        loop = asyncio.get_running_loop()
        self._behind_since = self._behind_since or time.monotonic()
        try:
            outcome = await loop.run_in_executor(self._thread, self._transact, group)
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody may get a false Ack
            self._record_failure(error)
            if isinstance(error, CommitsForgottenError):
                self._call(self._on_forgotten)
            return False
        self._behind_since = self._error = None
        self._telemetry.committed(outcome.seconds)
        for row in outcome.refused:
            self._telemetry.row_refused(row.table, row.error)
        self._report_fenced()
        return True

    def _record_failure(self, error: Exception) -> None:
        self._behind_since = self._behind_since or time.monotonic()
        self._error = error
        self._telemetry.commit_failed(error)

    def _transact(self, group: Group) -> Outcome:
        """Write all in one transaction; where a value cannot be written, all but the rows that have such values."""
        started = time.perf_counter()
        refused: list[RefusedRow] = []
        try:
            self._write_all(group)
        except UnwritableError:
            self._write_all(group, refused)
        return Outcome(time.perf_counter() - started, tuple(refused))

    def _write_all(self, group: Group, refused: list[RefusedRow] | None = None) -> None:
        with self._database.group(refused=refused, arrived=group.arrived) as transaction:
            owned = transaction.owned
            self._fenced = None if owned is None else Fenced(owned, group.collected_at)
            for write in group.writes:
                write.write(transaction)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, or the time is over."""
    if seconds <= 0 or event.is_set():
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
