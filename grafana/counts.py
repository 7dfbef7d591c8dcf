"""How often something was counted within the time that a board shows."""


def in_range(counter: str) -> str:
    """Return how often something was counted within the time shown, exactly.

    `increase` misses the first of what begins to be counted within it, such as a rare mistake, and guesses at
    both ends; it is asked only where a counter began anew.
    """
    now = f"last_over_time({counter}[$__range])"
    before = f"last_over_time({counter}[5m] offset $__range) or {now} * 0"
    return f"({now} - ({before}) and resets({counter}[$__range]) == 0 or increase({counter}[$__range]))"
