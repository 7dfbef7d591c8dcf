"""Threads for calls that may block for long, and that must hold up nothing but themselves."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from bridge.errors import StorageError

Result = TypeVar("Result")

WAITING_LIMIT = 200
"""Calls that may wait for a thread of their kind."""


class Threads:
    """At most `most` threads for calls of one kind; of other kinds' troubles it knows nothing."""

    def __init__(self, name: str, most: int) -> None:
        """Start no thread yet; `name` is what they are called."""
        self._name = name
        self._room = asyncio.Semaphore(most)
        self._waiting = 0

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return what a function returns, or raise what it raises.

        Raises StorageError when too many calls wait already.
        """
        if self._waiting >= WAITING_LIMIT:
            raise StorageError(f"{WAITING_LIMIT} calls wait for {self._name} already")
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        try:
            return await in_thread(function, name=self._name)
        finally:
            self._room.release()


async def in_thread(function: Callable[[], Result], *, name: str) -> Result:
    """Run a function in a thread of its own, which does not keep the process alive when it hangs."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Result] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        if not answer.done():
            settle()

    def run() -> None:
        try:
            settle = partial(answer.set_result, function())
        except Exception as error:  # noqa: BLE001 -- it is raised where it is awaited
            settle = partial(answer.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, settle)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answer
