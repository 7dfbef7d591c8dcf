"""Place values on an axis."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

LOG_FROM_RATIO = 40.0
"""A range of more than this factor is drawn on a logarithmic axis."""

PADDING = 0.06
"""Of a linear axis, above and below its values."""

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    is_log: bool

    def place(self, value: float) -> float:
        """Return 0 for the lowest value, 1 for the highest."""
        low, high, value = (self._linear(part) for part in (self.low, self.high, value))
        return (value - low) / (high - low)

    def ticks(self, wanted: int = 4) -> list[float]:
        """Return round values to label."""
        if not self.is_log:
            return _round_values(self.low, self.high, wanted)
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        stride = max(1, math.ceil((last - first + 1) / (wanted + 2)))
        powers = [10.0**exponent for exponent in range(first, last + 1, stride)]
        if len(powers) > 2:
            return powers
        return self._between(powers) or _round_values(self.low, self.high, wanted)

    def _between(self, powers: list[float]) -> list[float]:
        """Return 1, 2 and 5 times few powers of ten, and those of the power below."""
        if not powers:
            return []
        finer = [power * step for power in (powers[0] / 10, *powers) for step in (1, 2, 5)]
        return [value for value in finer if self.low <= value <= self.high]

    def _linear(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.is_log else value


def scale_of(values: Iterable[float], *, highest: float = math.inf) -> Scale:
    """Return an axis that holds all finite values with a little room, where that does not exceed `highest`."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if low > 0 and high / low > LOG_FROM_RATIO:
        return Scale(low / 1.2, max(high, min(high * 1.2, highest)), is_log=True)
    room = (high - low) * PADDING or abs(high) * 0.1 or 1.0
    lowest = low - room
    if low >= 0 > lowest:
        lowest = 0.0
    return Scale(lowest, max(high, min(high + room, highest)), is_log=False)


def _round_values(low: float, high: float, wanted: int) -> list[float]:
    rough = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next(power * factor for factor in STEPS if power * factor >= rough * 0.999)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step * 1.000001) + 1)]
