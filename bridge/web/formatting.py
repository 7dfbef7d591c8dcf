"""Numbers, times and classes as people read them."""

import math
import time
from collections.abc import Callable, Sequence

from bridge.model import is_ratio

NOTHING = "\N{EN DASH}"
SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
STRETCHES = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many digits that matter."""
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{min(digits, 3) - 1}e}"
    places = digits - 1 - (math.floor(math.log10(abs(value))) if value else 0)
    return f"{value:,.{max(0, places)}f}"


def short(value: float | None) -> str:
    """Return a number as an axis shows it: three digits that matter, none that does not."""
    if value is None or not math.isfinite(value):
        return number(value)
    text = f"{value:.3g}"
    return text.replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")


def count(value: float | None) -> str:
    """Return a count: 1,234 or 12.3 M."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if abs(value) < 100_000:
        return f"{value:,.0f}"
    size, suffix = next(pair for pair in SUFFIXES if abs(value) >= pair[0])
    return f"{value / size:.3g} {suffix}"


def percent(ratio: float | None, places: int = 0) -> str:
    """Return a ratio as a percentage."""
    if ratio is None or not math.isfinite(ratio):
        return NOTHING
    return f"{ratio * 100:.{places}f} %"


def accuracy(value: float | None) -> str:
    """Return an accuracy between 0 and 1 as a percentage, and any other number as it was sent."""
    if value is None or is_ratio(value):
        return percent(value, 1)
    return number(value)


def size(value: float | None) -> str:
    """Return bytes in the largest fitting unit."""
    if value is None or not math.isfinite(value):
        return NOTHING
    unit, name = next((pair for pair in SIZES if abs(value) >= pair[0]), (1, "B"))
    return f"{value / unit:.3g} {name}"


def duration(seconds: float | None) -> str:
    """Return a stretch of time in its two largest units."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return NOTHING
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    for unit, name, part, part_name in STRETCHES:
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // part} {part_name}"
    return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"


def ago(seconds: float) -> str:
    """Return how long something has been over."""
    if seconds < 2:
        return "just now"
    told = f"{seconds:.0f} s" if seconds < 10 else duration(math.floor(seconds))
    return f"{told} ago"


def moment(at: float) -> str:
    """Return a time of day in UTC, the clock that does not depend on who looks."""
    return _utc(at, "%Y-%m-%d %H:%M:%S UTC")


def clock(at: float) -> str:
    """Return the time of day only."""
    return _utc(at, "%H:%M:%S")


def iso(at: float) -> str:
    """Return a time as programs read it."""
    return _utc(at, "%Y-%m-%dT%H:%M:%SZ")


def class_name(number: int | None, names: Sequence[str]) -> str:
    """Return the name of a class where it is known, else its number."""
    if number is None:
        return NOTHING
    known = 0 <= number < len(names) and names[number]
    return str(known or number)


def _utc(at: float, format: str) -> str:
    try:
        return time.strftime(format, time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return NOTHING


FILTERS: dict[str, Callable[..., str]] = {
    "number": number,
    "short": short,
    "count": count,
    "percent": percent,
    "accuracy": accuracy,
    "size": size,
    "duration": duration,
    "ago": ago,
    "moment": moment,
    "clock": clock,
    "iso": iso,
}
