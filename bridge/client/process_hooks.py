"""What becomes of sessions when the process forks or ends."""

import atexit
import os
import sys
import time
from typing import Protocol
from weakref import WeakSet


class Mortal(Protocol):
    """Something that must not outlive its process, nor live twice."""

    def forked(self) -> None:
        """Become inert: this is a copy in a child process, without the threads that did the work."""

    def ending(self, error: BaseException | None) -> None:
        """Begin to close: the interpreter is about to end, for this reason. Waits for nothing."""

    def ended(self, seconds: float) -> None:
        """Close within so many seconds, and leave no thread in foreign code."""


# gRPC's C core has fork handlers that are on unless told otherwise, and one of them can wait for ever,
# in the child, for a lock that another thread held: a data loader's worker would hang as it starts.
# The copy is inert here and needs none of them. gRPC reads this as it is imported, so this module comes
# before those that do; whoever has set the variable keeps what they chose.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

EXIT_SECONDS = 3.0
"""How long an interpreter that ends waits for all sessions that nobody has closed."""

_ALIVE: WeakSet[Mortal] = WeakSet()

_INERT: list[Mortal] = []
"""Copies in a child process; nothing that they hold is freed there: GPUs and gRPC bear it badly."""


class GrpcUse:
    """Whether this process can use gRPC: its core has threads and locks, and a fork copies the locks alone.

    In a child of a process that has had a channel, making another one may wait for such a lock, and keep
    the interpreter's own while it waits: the whole child would stand still. A channel that was closed may
    still be on its way out, so closing it is not enough.
    """

    def __init__(self) -> None:
        """Start in a process that has had no channel."""
        self._is_used = False
        self.is_lost = False
        """This process was forked from one that had had a channel."""

    def begin(self) -> None:
        """Note that a channel is about to be made."""
        self._is_used = True

    def after_fork(self) -> None:
        """Look at what the parent had done; with gRPC's own fork handlers on, it does not matter."""
        has_handlers = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() in (
            "1",
            "true",
            "yes",
        )
        self.is_lost |= self._is_used and not has_handlers


GRPC_USE = GrpcUse()


def watch(session: Mortal) -> None:
    """Tell this session when the process forks or ends."""
    _ALIVE.add(session)


def forget(session: Mortal) -> None:
    """Leave it alone from now on."""
    _ALIVE.discard(session)


def _after_fork() -> None:
    for session in tuple(_ALIVE):
        _INERT.append(session)
        session.forked()
    _ALIVE.clear()
    GRPC_USE.after_fork()


def _at_exit() -> None:
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    sessions = tuple(_ALIVE)
    for session in sessions:
        session.ending(error)
    deadline = time.monotonic() + EXIT_SECONDS
    interrupt: BaseException | None = None
    for session in sessions:
        try:
            session.ended(max(0.0, deadline - time.monotonic()))
        except BaseException as raised:  # noqa: BLE001 -- an interrupt must not keep the others' threads
            interrupt, deadline = raised, 0.0
    if interrupt is not None:
        raise interrupt


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
