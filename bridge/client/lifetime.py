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

OFF = ("0", "false", "no", "f", "n", "")
"""What gRPC takes for no."""

_ALIVE: WeakSet[Mortal] = WeakSet()

_INERT: list[Mortal] = []
"""Copies in a child process; nothing that they hold is freed there: GPUs and gRPC bear it badly."""


_state = {"can_connect": True}


def cut_off() -> None:
    """Note, in a child process, that gRPC was at work in the parent: it aborts a process that goes on with it."""
    _state["can_connect"] = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "0") not in OFF


def can_connect() -> bool:
    """Return whether this process may open connections of its own."""
    return _state["can_connect"]


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
