"""How long to wait before the next attempt: exponential backoff with full jitter."""

import random

MAX_DOUBLINGS = 16

_RANDOM = random.SystemRandom()
"""Not the generator of the module: a training loop may have seeded that, and counts on its numbers."""


def backoff_seconds(
    failures: int, *, first_seconds: float = 0.5, longest_seconds: float = 60.0
) -> float:
    """Return how long to wait after one failure more than `failures` in a row.

    Anything between 0 and a limit that doubles with each failure, so that many clients of what was down
    do not come back at once; see "Exponential Backoff And Jitter" on the AWS Architecture Blog.
    """
    limit = first_seconds * 2 ** min(failures, MAX_DOUBLINGS)
    return _RANDOM.uniform(0.0, min(longest_seconds, limit))
