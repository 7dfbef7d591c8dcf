"""What becomes of sessions when the process forks or ends."""

import atexit
import os
import time
from multiprocessing import parent_process, util
from typing import Protocol
from weakref import WeakSet

from bridge.client.endings import TerminatedError
from bridge.client.process_end import ProcessEnd
from bridge.client.termination import Termination


class ForkAware(Protocol):
    """Something that must not outlive its process, nor live twice."""

    def after_fork_in_child(self) -> None:
        """Become inert: this is a copy in a child process, without the threads that did the work."""

    def before_exit(self, error: BaseException | None) -> None:
        """Begin to close: the interpreter is about to end, for this reason. Waits for nothing."""

    def at_exit(self, seconds: float) -> None:
        """Close within so many seconds, and leave no thread in foreign code."""


# gRPC's C core has fork handlers that are on by default, and one of them can wait forever, in the child,
# for a lock that another thread held: a data loader's worker would hang as it starts. The copy is inert
# here and needs none of them. gRPC reads this as it is imported, so this module comes before those that
# import it; whoever has set the variable keeps what they chose.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# This is gRPC's default by its documentation. Where it is not set, though, each failed TLS handshake is a
# line on stderr, at every attempt of a run that trains on without a bridge; our own log says it once.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

EXIT_SECONDS = 3.0
"""How long an interpreter that ends waits for all sessions that nobody has closed."""

_REGISTERED: WeakSet[ForkAware] = WeakSet()

_INERT: list[ForkAware] = []
"""Copies in a child process; nothing that they hold is freed there: neither GPUs nor gRPC would bear it."""


class GrpcUse:
    """Whether this process can use gRPC: its core has threads and locks, and a fork copies the locks alone.

    In a child of a process that has had a channel, making another one may wait for such a lock, and keep
    the interpreter's own while it waits: the whole child would stand still. A channel that was closed may
    still be on its way out, so closing it is not enough.
    """

    def __init__(self) -> None:
        """Start in a process that has had no channel."""
        self._has_had_channel = False
        self.is_broken = False
        """This process was forked from one that had had a channel."""

    def note_channel(self) -> None:
        """Remember that a channel is about to be made."""
        self._has_had_channel = True

    def after_fork_in_child(self) -> None:
        """Take over what the parent has done; with gRPC's own fork handlers on, it does not matter."""
        setting = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower()
        self.is_broken |= self._has_had_channel and setting not in ("1", "true", "yes")


GRPC_USE = GrpcUse()

PROCESS_END = ProcessEnd()


def register(session: ForkAware) -> None:
    """Call this session's methods when the process forks or ends."""
    TERMINATION.watch()
    if not _REGISTERED:
        PROCESS_END.watch()
        if parent_process() is not None:  # such a process may end without the hooks of atexit
            util.Finalize(None, _at_exit, exitpriority=0)
    _REGISTERED.add(session)


def registered() -> tuple[ForkAware, ...]:
    """Return the sessions of this process that have not ended."""
    return tuple(_REGISTERED)


def is_registered(session: ForkAware) -> bool:
    """Return whether it is a session of this process that has not ended."""
    return session in _REGISTERED


def unregister(session: ForkAware) -> None:
    """Leave it alone from now on."""
    _REGISTERED.discard(session)
    if not _REGISTERED:
        TERMINATION.release()


def _after_fork_in_child() -> None:
    for session in tuple(_REGISTERED):
        _INERT.append(session)
        session.after_fork_in_child()
    _REGISTERED.clear()
    TERMINATION.after_fork_in_child()
    GRPC_USE.after_fork_in_child()


def _at_exit() -> None:
    _end_sessions(PROCESS_END.error)


def _end_sessions(error: BaseException | None) -> None:
    sessions = tuple(_REGISTERED)
    for session in sessions:
        session.before_exit(error)
    deadline = time.monotonic() + EXIT_SECONDS
    interrupt: BaseException | None = None
    for session in sessions:
        try:
            session.at_exit(max(0.0, deadline - time.monotonic()))
        except BaseException as raised:  # noqa: BLE001 -- an interrupt must not keep the others' threads
            interrupt, deadline = raised, 0.0
    if interrupt is not None:
        raise interrupt


TERMINATION = Termination(lambda: _end_sessions(TerminatedError("SIGTERM")))


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(
        before=TERMINATION.before_fork,
        after_in_parent=TERMINATION.after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
atexit.register(_at_exit)
