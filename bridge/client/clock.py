"""The wall clock, in the protocol's unit."""

import time


def now_ms() -> int:
    """Return milliseconds since 1970; 0, which means not reported, where the clock is set to before that."""
    return max(0, time.time_ns() // 1_000_000)
