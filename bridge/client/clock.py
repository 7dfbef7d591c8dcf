"""The wall clock in the protocol's unit, and times as threads can wait for them."""

import threading
import time


def now_ms() -> int:
    """Return milliseconds since 1970; 0, which means not reported, where the clock is set to before that."""
    return max(0, time.time_ns() // 1_000_000)


def waitable(timeout: float) -> float:
    """Return a timeout as threads take one: no less than 0, and no more than they can wait."""
    return min(timeout, threading.TIMEOUT_MAX / 2) if timeout > 0 else 0.0
