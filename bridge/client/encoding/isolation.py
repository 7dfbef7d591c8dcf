"""What a value raises costs that value, whatever it raises."""

import threading


class UnreadableValueError(ValueError):
    """A value raised something that is no Exception: a Rust extension's panic, CancelledError."""


def fault_from(error: BaseException) -> Exception:
    """Return what reading a value raised, as an Exception that can be counted and logged.

    For `except BaseException` around one value. In the main thread an interrupt or an exit is
    the program's, not the value's, and is raised again; any other thread outlives whatever a value
    raises.
    """
    if isinstance(error, Exception):
        return error
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    return UnreadableValueError(f"{type(error).__name__}: {_text_of(error)}")


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 -- its text is a value like any other
        return "no text"
