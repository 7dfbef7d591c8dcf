"""Hears at once what other bridges announce, on a connection of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from bridge.backoff import backoff_seconds
from bridge.errors import StorageError
from bridge.storage.database import OnNotify

ALIVE_SECONDS = 10.0
"""How often the server is asked whether it is still there."""

WAIT_SECONDS = 0.5
"""How long a thread that is to end may go on waiting."""

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0


@contextmanager
def listening(
    connect: Callable[[], psycopg.Connection[Any]],
    channels: Sequence[str],
    on_notify: OnNotify,
) -> Iterator[None]:
    """Call `on_notify` on the event loop for whatever is announced on channels, until the block is left.

    `connect` opens a connection that commits each statement, and may raise StorageError or OperationalError; it is
    called again, in a thread, whenever the connection was lost. A connection that a pool hands out for one transaction
    alone, as PgBouncer may, hears nothing and says nothing: whoever listens has to look by himself now and then.
    """
    listener = _Listener(connect, channels, on_notify, asyncio.get_running_loop())
    listener.thread.start()
    try:
        yield
    finally:
        listener.stop()


class _Listener:
    """A thread with a connection; it does not keep the process alive."""

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Any]],
        channels: Sequence[str],
        on_notify: OnNotify,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connect = connect
        self._channels = tuple(channels)
        self._on_notify = on_notify
        self._loop = loop
        self._stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, name="listen", daemon=True)

    def stop(self) -> None:
        """Call nobody any more; the thread ends soon, and is not waited for: its connection may hang."""
        self._stopping.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            with suppress(StorageError, psycopg.Error, OSError), self._connect() as connection:
                for channel in self._channels:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                failures = 0
                self._call("", "")
                self._hear(connection)
            pause_seconds = backoff_seconds(
                failures,
                first_seconds=FIRST_BACKOFF_SECONDS,
                longest_seconds=LONGEST_BACKOFF_SECONDS,
            )
            failures += 1
            self._stopping.wait(pause_seconds)

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        """Pass on what comes until the thread is to end; raises OperationalError once the connection is lost."""
        unasked_seconds = 0.0
        while not self._stopping.is_set():
            for notify in connection.notifies(timeout=WAIT_SECONDS):
                self._call(notify.channel, notify.payload)
            unasked_seconds += WAIT_SECONDS
            if unasked_seconds >= ALIVE_SECONDS:
                connection.execute("SELECT 1")
                unasked_seconds = 0.0

    def _call(self, channel: str, payload: str) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(partial(self._pass_on, channel, payload))

    def _pass_on(self, channel: str, payload: str) -> None:
        if not self._stopping.is_set():
            self._on_notify(channel, payload)
