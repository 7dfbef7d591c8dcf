"""SIGTERM, where the program does not handle it: what is open is reported, and then the process dies of it."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from bridge.client.encoding.isolation import is_main_thread

BLOCKED_SECONDS = 1.0
"""After so long a main thread that does not handle the signal is taken to be inside of a call that never returns."""

LONGEST_SECONDS = 5.0
"""Then the process dies, whatever has been reported: a thread may be stuck with a lock that this needs."""

JOIN_SECONDS = 0.2
"""How long the end of the watching thread is waited for."""

LEAVE = b"\0"
"""What ends the watching thread; no signal has this number."""


class Termination:
    """Handles SIGTERM for as long as there are sessions, where nobody else does.

    Python runs handlers in the main thread, between two of its instructions. A loop that hangs inside of
    a call, such as a collective, would never die of the signal again. So another thread waits for it too,
    by the file descriptor that Python writes to when a signal comes, and acts where the main thread does
    not.
    """

    def __init__(self, end: Callable[[], None]) -> None:
        """Watch nothing yet; `end` reports what is to be reported, within seconds."""
        self._end = end
        self._pipe: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._held = threading.local()
        """Whether a thread that forks holds the signal back."""
        self._reset()

    def watch(self) -> None:
        """Handle the signal from now on, if it would kill the process: in the main thread alone."""
        if os.name != "posix" or not is_main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        with suppress(ValueError):  # this is not the main interpreter
            signal.signal(signal.SIGTERM, self._on_signal)
            if self._pipe is None:
                self._begin_to_wait()

    def release(self) -> None:
        """Leave the signal to the system again; only the main thread can."""
        if not is_main_thread():
            return
        with suppress(ValueError):
            if self._is_handler():
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._end_to_wait()

    def before_fork(self) -> None:
        """Hold the signal back until the child is on its own: Python would lose it in there, and the pipe is shared."""
        self._held.is_held = False
        if self._is_handler():
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            self._held.is_held = signal.SIGTERM not in before

    def after_fork_in_parent(self) -> None:
        """Let the signal through again."""
        if self._held.is_held:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def after_fork_in_child(self) -> None:
        """Leave the signal of a child to the system; it does not write into its parent's pipe."""
        with suppress(ValueError, OSError):
            if self._pipe is not None and (other := signal.set_wakeup_fd(-1)) != self._pipe[1]:
                signal.set_wakeup_fd(other, warn_on_full_buffer=False)
            if self._is_handler():
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor in self._pipe or ():
            with suppress(OSError):
                os.close(descriptor)
        self._pipe = None
        self._reset()
        self.after_fork_in_parent()

    def _reset(self) -> None:
        self._turn = threading.Lock()
        """Held by the thread that ends the process."""
        self._ending = 0
        """Which thread that is."""
        self._is_handled = threading.Event()

    def _is_handler(self) -> bool:
        return signal.getsignal(signal.SIGTERM) == self._on_signal

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        """End the process; a handler of the program's own that calls this one keeps the decision."""
        if sys._getframe(1) is frame:
            self._is_handled.set()
            self._finish()

    def _finish(self) -> None:
        """Report what is to be reported, and die; whoever comes second waits for the first."""
        if self._turn.acquire(blocking=False):
            self._ending = threading.get_ident()
            thread = threading.Thread(target=self._end, name="trainbridge-terminate", daemon=True)
            with suppress(RuntimeError):  # no threads can be started any more
                thread.start()
                thread.join(LONGEST_SECONDS)
        elif self._ending != threading.get_ident():
            time.sleep(LONGEST_SECONDS)
        kill()

    def _begin_to_wait(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        other = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if other != -1:  # an event loop's
            signal.set_wakeup_fd(other, warn_on_full_buffer=False)
            os.close(reading)
            os.close(writing)
            return
        self._pipe = (reading, writing)
        self._thread = threading.Thread(
            target=self._wait, args=(reading,), name="trainbridge-signals", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:  # the process is at its limit of threads, or ending
            self._thread = None
            self._end_to_wait()
            os.close(reading)

    def _end_to_wait(self) -> None:
        if self._pipe is None:
            return
        _reading, writing = self._pipe
        self._pipe = None
        if (other := signal.set_wakeup_fd(-1)) != writing:  # an event loop has taken its place
            signal.set_wakeup_fd(other, warn_on_full_buffer=False)
        with suppress(OSError):
            os.write(writing, LEAVE)
        os.close(writing)
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)

    def _wait(self, reading: int) -> None:
        """End the process if the main thread does not; runs in a thread of its own."""
        while (numbers := os.read(reading, 256)) and LEAVE not in numbers:
            if signal.SIGTERM in numbers and self._is_handler() and self._is_blocked():
                self._finish()
        os.close(reading)

    def _is_blocked(self) -> bool:
        """Return whether the main thread neither handles the signal nor runs any instruction.

        Where it runs, the signal was not this process's: a child that was forked at that moment has had it.
        """
        before = _main_instruction()
        return not self._is_handled.wait(BLOCKED_SECONDS) and _main_instruction() == before


def kill() -> None:
    """Die of SIGTERM, in any thread, as without a handler."""
    try:
        if is_main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        else:
            set_handler = ctypes.CDLL(None).signal
            set_handler.argtypes, set_handler.restype = (
                (ctypes.c_int, ctypes.c_void_p),
                ctypes.c_void_p,
            )
            set_handler(signal.SIGTERM, None)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(BLOCKED_SECONDS)  # until another thread has taken the signal
    finally:
        os._exit(128 + signal.SIGTERM)


def _main_instruction() -> tuple[int, int]:
    """Return where the main thread is."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    return (id(frame), frame.f_lasti) if frame is not None else (0, 0)
