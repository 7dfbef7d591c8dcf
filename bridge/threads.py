"""Threads for calls that may block for long and must hold up nothing else."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from bridge.errors import StorageError

Result = TypeVar("Result")

WAITING_LIMIT = 200
"""Calls that may wait for a thread of their kind, unless it says otherwise."""


class ThreadLimiter:
    """At most `most` threads for calls of one kind, which wait for nothing but each other."""

    def __init__(self, name: str, most: int, *, waiting_limit: int = WAITING_LIMIT) -> None:
        """Start no thread yet; `name` is what the threads are called."""
        self._name = name
        self._waiting_limit = waiting_limit
        self._free = asyncio.Semaphore(most)
        self._waiting = 0

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return what a function returns, or raise what it raises.

        Raises StorageError when too many calls wait already.
        """
        if self._waiting >= self._waiting_limit:
            raise StorageError(f"{self._waiting_limit} calls wait for {self._name} already")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            return await run_in_daemon_thread(function, name=self._name)
        finally:
            self._free.release()


async def run_in_daemon_thread(function: Callable[[], Result], *, name: str) -> Result:
    """Run a function in a thread of its own, which does not keep the process alive when it hangs."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()

    def resolve(setter: Callable[[], None]) -> None:
        if not outcome.done():
            setter()

    def run() -> None:
        try:
            setter = partial(outcome.set_result, function())
        except Exception as error:  # noqa: BLE001 -- it is raised where it is awaited
            setter = partial(outcome.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(resolve, setter)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await outcome
