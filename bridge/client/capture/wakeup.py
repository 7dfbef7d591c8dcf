"""A flag that wakes a waiting thread, and that signal handlers and forks cannot break."""

import threading


class Wakeup:
    """A flag that one thread sets and another waits for.

    Each method is a single call into C. A `threading.Event` takes a lock in Python code, where a signal
    handler may raise or take the same lock, which would block the training loop forever; and a fork may
    leave it locked.
    """

    __slots__ = ("_unset",)

    def __init__(self) -> None:
        """Start unset."""
        self._unset = threading.Lock()
        self._unset.acquire()  # held while it is not set

    def set(self) -> None:
        """End the current wait, or the next one."""
        try:
            self._unset.release()
        except RuntimeError:
            return  # it is set already

    def wait(self, seconds: float) -> None:
        """Wait until it is set, for at most `seconds`, and unset it."""
        self._unset.acquire(timeout=seconds)

    def clear(self) -> None:
        """Unset it."""
        self._unset.acquire(blocking=False)

    def is_set(self) -> bool:
        """Return whether it is set."""
        return not self._unset.locked()
