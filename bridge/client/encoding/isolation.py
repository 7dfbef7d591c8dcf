"""What a value raises costs that value, whatever it raises; what the program raises reaches the program."""

import signal
import threading
from collections.abc import Iterator
from inspect import CO_VARARGS
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import Any

STOPPING = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends a program goes through; anything else that a value raises costs that value."""


class UnreadableValueError(ValueError):
    """A value raised something other than an Exception: a Rust extension's panic, CancelledError."""


def let_through(error: BaseException) -> None:
    """Raise an exception again that is the program's own: an interrupt, an exit, a signal handler's.

    For the begin of every `except` clause around a value that runs in the training loop's thread.
    """
    if issubclass(type(error), STOPPING) or is_from_signal_handler(error):
        raise error


def fault_from(error: BaseException) -> Exception:
    """Return what reading a value raised, as an Exception that can be counted and logged.

    For `except BaseException` around one value. In the main thread an interrupt, an exit or what a
    signal handler raises is the program's, not the value's, and is raised again; any other thread
    outlives whatever a value raises.
    """
    if is_main_thread():
        let_through(error)
    if isinstance(error, Exception):
        return error
    return UnreadableValueError(f"{type(error).__name__}: {_text_of(error)}")


def is_main_thread() -> bool:
    """Return whether this is the thread in which Python runs signal handlers."""
    return threading.get_ident() == threading.main_thread().ident


def is_from_signal_handler(error: BaseException) -> bool:
    """Return whether an exception was raised by one of the program's signal handlers.

    Python runs a handler between any two steps of the main thread, so its exception may begin anywhere
    inside the SDK. It is known by the handler's frame in its traceback: that of a function that is set as
    a handler, or that was called as Python calls one, with the frame that it interrupted (docs.python.org,
    signal.signal). A handler that is written in C leaves no frame and is not known.
    """
    traceback = _traceback_of(error)
    if traceback is None or traceback.tb_next is None or not is_main_thread():
        return False  # it came from C, or from the very function that has caught it
    handlers = frozenset(_handlers())
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code in handlers or _was_called_as_a_handler(frame):
            return True
        traceback = traceback.tb_next
    return False


def _traceback_of(error: BaseException) -> TracebackType | None:
    try:
        return error.__traceback__
    except Exception:  # noqa: BLE001 -- a class may say anything about its attributes
        return None


def _handlers() -> Iterator[CodeType]:
    """Yield the code of each function that is set as a handler now."""
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        handler = getattr(handler, "func", handler)  # of a partial
        function = getattr(handler, "__func__", handler)
        code = getattr(function, "__code__", None)
        if (
            code is None
        ):  # an object that can be called; SIG_DFL and the like are members of an enumeration
            calls = (vars(base).get("__call__") for base in type(handler).__mro__)
            code = getattr(next(filter(None, calls), None), "__code__", None)
        if isinstance(code, CodeType):
            yield code


def _was_called_as_a_handler(frame: FrameType) -> bool:
    """Return whether a function was given the number of a signal and the frame that it interrupted."""
    code, values = frame.f_code, frame.f_locals
    arguments = [values.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & CO_VARARGS:
        rest = values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount])
        arguments += rest if isinstance(rest, tuple) else ()
    return any(
        issubclass(type(number), int)
        and type(interrupted) is FrameType
        and interrupted is frame.f_back
        for number, interrupted in pairwise(arguments)
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as fault:  # noqa: BLE001 -- its text is a value like any other
        if is_main_thread():
            let_through(fault)
        return "no text"
