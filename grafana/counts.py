"""How often something was counted within the time that a board shows."""

from bridge.sinks.metrics.families import TRAINING_FAMILIES

_LABELS = {family.name: ", ".join(family.labels) for family in TRAINING_FAMILIES}


def in_range(counter: str) -> str:
    """Return how often something was counted within the time shown, exactly, by the labels of its family.

    `increase` misses the first of what begins to be counted within it, such as a rare mistake, and guesses at
    both ends; it is asked only where a counter began anew.

    Bridges that share a PostgreSQL go on counting where another one stood. So of the copies of a counter the highest one
    counts, and they are not added up, unless one began anew: with another attempt, or at a bridge with a state of its own.
    """
    by = f"by ({_LABELS[counter.partition('{')[0]]})"
    now = f"max {by} (last_over_time({counter}[$__range]))"
    before = f"max {by} (last_over_time({counter}[5m] offset $__range)) or {now} * 0"
    anew = f"sum {by} (resets({counter}[$__range])) > 0 or resets((max {by} ({counter}))[$__range:$__rate_interval]) > 0"
    return (
        f"(({now} - ({before})) >= 0 unless ({anew}) or sum {by} (increase({counter}[$__range])))"
    )
