"""Find the spikes of a loss curve: values that stand out from the noise around them."""

import math
from collections.abc import Callable, Sequence
from statistics import median

MAX_SPIKES = 6

NEIGHBOURS = 16
"""A value is compared with so many before it and so many after it."""

WARM_UP = 8
"""The first values of a run are no spikes, since it begins with a high loss, and there is nothing to compare them with."""

ENOUGH_AFTER = 3
"""With fewer values after it, which are still to come, a value is compared with those before it alone."""

RISE_FACTOR = 3.0
"""Without enough values after it, a spike is a step up so many times what the values before it had risen: a loss
that rises for good has no spikes."""

LINEAR_DEVIATIONS = 10.0
"""As many standard deviations above its neighbours is a spike: noise with a long tail reaches eight."""

LOG_DEVIATIONS = 5.0
"""The same on a logarithmic scale, where the noise of a loss is more even, and its tail shorter."""

LEAST_FACTOR = 1.25
"""Whatever the noise, a spike is higher than its neighbours by this factor."""

DISTANCE = 3
"""Of two spikes no further apart than this, only the higher one is marked."""

TO_DEVIATION = 1.4826
"""A normal distribution's standard deviation in terms of its median absolute deviation."""


def spikes_of(values: Sequence[float]) -> list[int]:
    """Return where the most prominent spikes of a series are, in order; values that are not finite are left out."""
    finite = [index for index, value in enumerate(values) if math.isfinite(value)]
    series = [values[index] for index in finite]
    found = [(_prominence(series, at), at) for at in range(WARM_UP, len(series))]
    found = sorted((entry for entry in found if entry[0] > 1), reverse=True)
    chosen: list[int] = []
    for _, at in found:
        is_apart = all(abs(at - other) > DISTANCE for other in chosen)
        if is_apart and len(chosen) < MAX_SPIKES:
            chosen.append(at)
    return [finite[at] for at in sorted(chosen)]


def _prominence(series: Sequence[float], at: int) -> float:
    """Return how far a value stands out; above 1 it is a spike."""
    value = series[at]
    before, after = series[max(0, at - NEIGHBOURS) : at], series[at + 1 : at + 1 + NEIGHBOURS]
    has_enough_after = len(after) >= ENOUGH_AFTER
    if not has_enough_after and _continues_a_rise(value, before):
        return 0.0
    sides = [before, after] if has_enough_after else [before]
    level = max(map(median, sides))
    if value - level <= abs(level) * (LEAST_FACTOR - 1):
        return 0.0
    linear = _deviations(value, sides, lambda each: each) / LINEAR_DEVIATIONS
    if min(*before, *after, value) <= 0:
        return linear
    return max(linear, _deviations(value, sides, math.log) / LOG_DEVIATIONS)


def _continues_a_rise(value: float, before: Sequence[float]) -> bool:
    """Return whether the last step up is not much larger than what the values just before it had risen already."""
    just_before = max(before[-ENOUGH_AFTER:])
    return value - just_before < RISE_FACTOR * (just_before - median(before))


def _deviations(
    value: float, sides: Sequence[Sequence[float]], scale: Callable[[float], float]
) -> float:
    """Return how many standard deviations a value is above its neighbours on both sides, by medians.

    A side that rises to the value, such as the start of a run or a step, is as high as it: no spike.
    """
    scaled = [[scale(each) for each in side] for side in sides]
    levels = [median(side) for side in scaled]
    spreads = [
        TO_DEVIATION * median(abs(each - level) for each in side)
        for side, level in zip(scaled, levels, strict=True)
    ]
    height = scale(value) - max(levels)
    least = abs(max(levels)) * 1e-9
    return height / max(*spreads, least, 1e-300)
