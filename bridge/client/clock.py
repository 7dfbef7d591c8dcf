"""The wall clock, as the protocol has it."""

import time


def now_ms() -> int:
    """Return milliseconds since 1970; 0, not reported, while the clock is set to a time before that."""
    return max(0, time.time_ns() // 1_000_000)
