"""The demo ends with its terminal: by a signal, or with the process that started it."""

import os
import signal
import threading
import time
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
POLL_SECONDS = 0.5


def end_with_terminal() -> None:
    """Have KeyboardInterrupt raised in the main thread when it is time to end.

    That is at Ctrl-C, at SIGTERM, when the terminal closes, and when the process that started this one has gone,
    which may have had no time for a signal. The signal of a terminal that closes reaches its first process alone:
    make, where a terminal runs just that, passes it on to nobody. What ignores SIGHUP, as under nohup, is to
    outlive them all.
    """
    is_to_outlive = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    if not is_to_outlive:
        around = os.getppid(), _terminals()
        threading.Thread(target=_end_with, args=around, daemon=True).start()


def _end_with(parent: int, terminals: list[int]) -> None:
    while os.getppid() == parent and _terminals() == terminals:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _terminals() -> list[int]:
    """Return which of the standard streams are a terminal that is still open."""
    return [stream for stream in range(3) if os.isatty(stream)]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
