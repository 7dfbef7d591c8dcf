"""One attempt to use something that the bridge depends on, and what came of it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.errors import BridgeError
from bridge.threads import run_in_daemon_thread

TIMEOUT_SECONDS = 15.0
"""Longer than a connection attempt is retried by TCP once or twice, short enough to wait for."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Something that the bridge depends on, and how to try it."""

    name: str
    """From a small fixed set: it is the label of a series."""
    target: str
    """Where it is, without secrets."""
    probe: Callable[[], Coroutine[Any, Any, None]]
    """Uses it once as the bridge does; raises BridgeError with the cause and the way out. See `blocking`."""


@dataclass(frozen=True, slots=True)
class ConnectionCheck:
    """What the last attempt to use a connection showed."""

    name: str
    target: str
    error: str | None = None
    """The cause and the way out in one sentence; None: it works."""
    is_checked: bool = True
    """False: nothing is known yet."""

    @property
    def result(self) -> str:
        """What a person reads: ok, what is wrong, or that nothing is known yet."""
        return (self.error or "ok") if self.is_checked else "not checked yet"


async def check(
    connection: Connection, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> ConnectionCheck:
    """Try a connection once; a probe that hangs goes on in its thread, which holds up nothing."""
    attempt = start_probe(connection)
    await asyncio.wait([attempt], timeout=timeout_seconds)
    result = outcome(connection, attempt, timeout_seconds)
    attempt.cancel()
    return result


async def check_all(
    connections: Sequence[Connection],
    *,
    on_checked: Callable[[ConnectionCheck], None] = lambda _check: None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[ConnectionCheck, ...]:
    """Try all connections at the same time; `on_checked` is called with each result as soon as it is known."""

    async def checked(connection: Connection) -> ConnectionCheck:
        result = await check(connection, timeout_seconds=timeout_seconds)
        on_checked(result)
        return result

    return tuple(await asyncio.gather(*map(checked, connections)))


def start_probe(connection: Connection) -> "asyncio.Task[None]":
    """Start to try a connection; the task ends when the probe does."""
    return asyncio.create_task(connection.probe(), name=f"check {connection.name}")


def blocking(probe: Callable[[], None]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return the probe of a connection for a function that blocks: it runs in a thread of its own."""
    return lambda: run_in_daemon_thread(probe, name="check a connection")


def outcome(
    connection: Connection, attempt: "asyncio.Task[None]", timeout_seconds: float
) -> ConnectionCheck:
    """Return what an attempt has shown by now; one that still runs after `timeout_seconds` has failed."""
    return ConnectionCheck(connection.name, connection.target, _error(attempt, timeout_seconds))


def _error(attempt: "asyncio.Task[None]", timeout_seconds: float) -> str | None:
    if not attempt.done():
        return (
            f"no answer within {timeout_seconds:g} s: check the address, and whether a firewall or a"
            " device that hangs is in between"
        )
    error = attempt.exception()
    if error is None or isinstance(error, BridgeError):
        return str(error) if error else None
    return f"it cannot be used ({type(error).__name__}: {error}): this is a fault of trainbridge, please report it"
