"""How a run has ended: by the exception that ended it, or by a command."""

import signal
from enum import StrEnum
from typing import Any

from bridge.protocol import Status


class Ending(StrEnum):
    """What refines COMPLETED and FAILED, in the protocol's words; servers that do not know them see those."""

    AS_REPORTED = ""
    """The status is all of it."""
    STOPPED = "stopped"
    """By a command that the loop has obeyed."""
    INTERRUPTED = "interrupted"
    """By a person: Ctrl-C, or the button of a notebook."""
    TERMINATED = "terminated"
    """By a signal of the system or of a scheduler."""


class TerminatedError(BaseException):
    """A signal ends the process; it is reported, and never raised."""


SIGNALLED = 128
"""An exit status above it says by which signal a process has ended, as shells write it."""

SCHEDULERS = ("SIGTERM", "SIGHUP", "SIGXCPU", "SIGUSR1", "SIGUSR2")
"""Signals with which systems and schedulers end a process that still has the time to exit by itself."""


def end_of(error: BaseException | None, *, is_stopped: bool = False) -> tuple[Status, Ending]:
    """Return the status that ends a run, and what refines it; `is_stopped`: the loop has obeyed a command."""
    if error is None or _is_good_end(error):
        return Status.COMPLETED, Ending.STOPPED if is_stopped else Ending.AS_REPORTED
    if isinstance(error, KeyboardInterrupt):
        return Status.FAILED, Ending.INTERRUPTED
    if isinstance(error, TerminatedError):
        return Status.FAILED, Ending.TERMINATED
    return Status.FAILED, _ending_of_exit(error)


def _is_good_end(error: BaseException) -> bool:
    """Return whether a generator is closed by this, or Python exits with status 0: any other object makes it 1."""
    if not isinstance(error, SystemExit):
        return isinstance(error, GeneratorExit)
    code: Any = error.code
    return code is None or (isinstance(code, int) and code == 0)


def _ending_of_exit(error: BaseException) -> Ending:
    """Return the ending that an exit status stands for: a signal handler's `sys.exit(143)` is one of SIGTERM."""
    code = error.code if isinstance(error, SystemExit) else None
    if not isinstance(code, int):
        return Ending.AS_REPORTED
    number = code - SIGNALLED
    if number == signal.SIGINT:
        return Ending.INTERRUPTED
    known = {getattr(signal, name, None) for name in SCHEDULERS}
    return Ending.TERMINATED if number in known else Ending.AS_REPORTED
