"""Numbers, times and classes as people read them."""

import math
import time
from collections.abc import Callable, Sequence

from bridge.model import is_ratio

NOT_KNOWN = "\N{EN DASH}"
LABEL_DIGITS = 8
"""Of the labels of an axis, at most."""

LARGEST_COUNT = 1e15
LARGEST_RATIO = 1e4
LONGEST_SECONDS = 1e9
"""From these on, numbers are shown in fewer digits."""

SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
DURATION_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
ESTIMATE_IN_MINUTES_FROM = 600
"""Seconds from which on an estimate leaves out the seconds."""

LONGEST_VALUE = 200
"""Of a configuration, in characters."""

SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many significant digits."""
    if value is None:
        return NOT_KNOWN
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if value and not 1e-3 <= abs(value) < 1e6:
        return _short_exponent(f"{value:.{min(digits, 3) - 1}e}")
    if not value:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, places)}f}"


def short(value: float | None, digits: int = 3) -> str:
    """Return a number as an axis shows it: at most so many significant digits, no trailing zeros."""
    if value is None or not math.isfinite(value):
        return number(value)
    return _short_exponent(f"{value:.{digits}g}")


def axis_labels(values: Sequence[float], factor: float = 1.0) -> list[str]:
    """Return the labels of an axis: as short as they can be without two of them being the same."""
    for digits in range(3, LABEL_DIGITS):
        labels = [short(value * factor, digits) for value in values]
        if len(set(labels)) == len(set(values)):
            return labels
    return [short(value * factor, LABEL_DIGITS) for value in values]


def count(value: float | None) -> str:
    """Return a count or a rate: 1,234 or 12.3 M, and below 10 with what is behind the point."""
    if value is None or not math.isfinite(value):
        return NOT_KNOWN
    if abs(value) < 10 and value != round(value):
        return short(float(f"{value:.2g}"))
    if abs(value) < 100_000:
        return f"{value:,.0f}"
    if abs(value) >= LARGEST_COUNT:
        return short(value)
    size, suffix = next(pair for pair in SUFFIXES if abs(value) >= pair[0])
    return f"{value / size:.3g} {suffix}"


def percent(ratio: float | None, places: int = 0) -> str:
    """Return a ratio as a percentage: 0% only for nothing at all, and 100% only for all."""
    if ratio is None or not math.isfinite(ratio):
        return NOT_KNOWN
    if abs(ratio) >= LARGEST_RATIO:
        return number(ratio)  # a factor reads better by then
    step = 10.0**-places
    if 0 < ratio < step / 200:
        return f"<{step:.{places}f}%"
    if 1 - step / 200 <= ratio < 1:
        return f">{100 - step:.{places}f}%"
    return f"{ratio * 100:.{places}f}%"


def accuracy(value: float | None) -> str:
    """Return an accuracy between 0 and 1 as a percentage, and any other number as it was sent."""
    if value is None or is_ratio(value):
        return percent(value, 1)
    return number(value)


def size(value: float | None) -> str:
    """Return bytes in the largest unit that fits."""
    if value is None or not math.isfinite(value):
        return NOT_KNOWN
    unit, name = next((pair for pair in SIZES if abs(value) >= pair[0]), (1, "B"))
    return f"{short(value / unit)} {name}"


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return NOT_KNOWN
    if seconds >= LONGEST_SECONDS:
        return f"{number(seconds / 86_400)} d"
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "<1 ms"
    rounded = round(seconds)
    for unit, name, smaller_unit, smaller_name in DURATION_UNITS:
        if rounded >= unit:
            return f"{rounded // unit} {name} {rounded % unit // smaller_unit} {smaller_name}"
    return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{rounded} s"


def remaining(seconds: float | None) -> str:
    """Return an estimate of the time left, no more precise than such estimates are."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return NOT_KNOWN
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    if seconds < ESTIMATE_IN_MINUTES_FROM:
        return duration(round(seconds))
    if seconds < 3_570:
        return f"{round(seconds / 60)} min"
    return duration(round(seconds / 60) * 60)


def ago(seconds: float) -> str:
    """Return how long ago something happened."""
    if seconds < 2:
        return "just now"
    text = f"{seconds:.0f} s" if seconds < 10 else duration(math.floor(seconds))
    return f"{text} ago"


def moment(at: float) -> str:
    """Return a date and time in UTC, which does not depend on where the reader is."""
    return _utc(at, "%Y-%m-%d %H:%M:%S UTC")


def clock(at: float) -> str:
    """Return the time of day alone, in UTC."""
    return _utc(at, "%H:%M:%S")


def iso(at: float) -> str:
    """Return a time for machines to read (ISO 8601)."""
    return _utc(at, "%Y-%m-%dT%H:%M:%SZ")


def sentence(message: str) -> str:
    """Return an error message as a sentence; a name at its beginning, such as batch_size, stays as it is."""
    is_name = "_" in message.partition(" ")[0]
    start = message[:1] if is_name else message[:1].upper()
    return f"{start}{message[1:].removesuffix('.')}."


def class_name(number: int | None, names: Sequence[str]) -> str:
    """Return the name of a class where it has one, else its number."""
    if number is None:
        return NOT_KNOWN
    name = 0 <= number < len(names) and names[number]
    return str(name or number)


def config_text(value: object) -> str:
    """Return a value of a configuration: as JSON has it, but for the quotes of a text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _short_exponent(text: str) -> str:
    """Return a number such as 1e-05 as 1e-5."""
    return text.replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")


def _utc(at: float, format: str) -> str:
    try:
        return time.strftime(format, time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return NOT_KNOWN


FILTERS: dict[str, Callable[..., str]] = {
    "number": number,
    "short": short,
    "count": count,
    "percent": percent,
    "accuracy": accuracy,
    "size": size,
    "duration": duration,
    "ago": ago,
    "remaining": remaining,
    "moment": moment,
    "clock": clock,
    "iso": iso,
    "sentence": sentence,
    "config_text": config_text,
}
