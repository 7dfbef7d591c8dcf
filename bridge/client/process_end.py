"""By which exception a process ends, if it does by one."""

import sys
import threading
from collections.abc import Iterator
from dis import get_instructions, opname
from types import FrameType

from bridge.client.encoding.isolation import is_main_thread
from bridge.client.exits import watch_exits

RETURNS = frozenset({"RETURN_VALUE", "RETURN_CONST"})

CALLS = frozenset({"PRECALL", "CALL"})
"""Instructions between the argument of an exception and the `raise`."""

WITH_CAUSE = 2
"""The argument of RAISE_VARARGS for `raise ... from ...`."""

UNKNOWN_CODE = "its code is not known: Python 3.11 reports only the codes given to sys.exit()"


class ProcessEnd:
    """Finds the exception that ends the process, among all that were raised and caught before.

    Python keeps the last exception that it has printed, which in a notebook or a console is one that
    ended a cell; of a SystemExit it keeps nothing. What ends a process leaves the outermost frame of its
    main thread.
    """

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._outermost: FrameType | None = None
        self._program: FrameType | None = None
        """That of the program's own module: `python -m` runs it in frames of its own."""
        self._exit: SystemExit | None = None
        self._target_error: BaseException | None = None
        """What has ended the target of this process of multiprocessing."""
        self._is_watching = False

    def watch(self) -> None:
        """Begin to watch the main thread."""
        for frame in _main_frames():
            self._outermost = frame
            if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
                self._program = frame
        if not self._is_watching:
            self._is_watching = True
            watch_exits(self._remember)

    @property
    def error(self) -> BaseException | None:
        """Return the exception that ends the process, or this part of it; None where nothing is amiss.

        One that is in flight counts: in a `finally` or `except` that closes a session, and where
        multiprocessing runs the finalizers of one of its processes.
        """
        return sys.exc_info()[1] or self._error_of_ended_program()

    def _error_of_ended_program(self) -> BaseException | None:
        if self._target_error is not None:
            return self._target_error
        outermost = self._outermost
        if outermost is None or outermost in _main_frames() or _has_returned(outermost):
            return None
        printed = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        traceback = getattr(printed, "__traceback__", None)
        if traceback is not None and traceback.tb_frame is outermost:
            return printed
        return self._exit or _exit_raised_in(self._program or outermost)

    def _remember(self, error: BaseException, is_target: bool) -> None:  # noqa: FBT001 -- as Remember says
        if is_target:
            self._target_error = error
        elif isinstance(error, SystemExit) and is_main_thread():
            self._exit = SystemExit(error.code)  # without the frames that the other one holds


def _main_frames() -> Iterator[FrameType]:
    """Yield the frames of the main thread, the outermost last."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _has_returned(frame: FrameType) -> bool:
    """Return whether a frame that is no longer running was left by a `return`, not by an exception."""
    code = frame.f_code.co_code
    return not 0 <= frame.f_lasti < len(code) or opname[code[frame.f_lasti]] in RETURNS


def _exit_raised_in(frame: FrameType) -> SystemExit | None:
    """Return the SystemExit that has left a frame and that nobody has seen, as far as its code shows.

    `raise SystemExit(3)` in the outermost frame shows its argument. `raise SystemExit(main())` does not:
    then it is taken for the end of a program that has come to its end. One that was raised further inside
    is taken for a failure.
    """
    done = [each for each in get_instructions(frame.f_code) if each.offset <= frame.f_lasti]
    if not done or done[-1].opname != "RAISE_VARARGS":
        return SystemExit(UNKNOWN_CODE)
    raised = done[:-2] if done[-1].arg == WITH_CAUSE else done[:-1]
    argument = next(each for each in reversed(raised) if each.opname not in CALLS)
    return SystemExit(argument.argval) if argument.opname == "LOAD_CONST" else None
