"""Numbers as Grafana 13 writes them, by its ids of units."""

import math
import time
from collections.abc import Callable, Mapping

THOUSANDS = ("", " K", " Mil", " Bil", " Tri", " Quadr")
BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi")
DECIMAL = ("", "k", "M", "G", "T", "P")

TIMES = (
    (1e-6, 1e-9, " ns"),
    (1e-3, 1e-6, " µs"),
    (1, 1e-3, " ms"),
    (60, 1, " s"),
    (3600, 60, " mins"),
    (86_400, 3600, " hours"),
    (604_800, 86_400, " days"),
    (31_536_000, 604_800, " weeks"),
    (math.inf, 31_556_900, " years"),
)
"""Below how many seconds, how many seconds one of it is, and what it is called."""

PLAIN = {"none": "", "string": "", "celsius": " °C", "percent": "%", "rotrpm": " rpm"}

DURATIONS = {"s": 1, "ms": 1e-3, "m": 60}
"""Units of times, in seconds."""

Scale = tuple[int, tuple[str, ...], str]
"""The step from one prefix to the next, the prefixes, and what stands behind a number, with its prefix in it."""

RATES = ("", "K", "M", "B", "T")

SCALED: Mapping[str, Scale] = {
    "short": (1000, THOUSANDS, "{}"),
    "bytes": (1024, BINARY, " {}B"),
    "decbytes": (1000, DECIMAL, " {}B"),
    "Bps": (1000, DECIMAL, " {}B/s"),
    "binBps": (1024, BINARY, " {}B/s"),
    "watt": (1000, DECIMAL, " {}W"),
    "hertz": (1000, DECIMAL, " {}Hz"),
    "cps": (1000, RATES, "{} c/s"),
    "ops": (1000, RATES, "{} ops/s"),
    "reqps": (1000, RATES, "{} req/s"),
}


def written(value: float, unit: str = "none", decimals: int | None = None) -> str:
    """Return a number with its unit; raises ValueError for a unit that no case here covers.

    `decimals`: None is as many as it takes for three digits.
    """
    if not math.isfinite(value):
        return fixed(value)
    kind, colon, word = unit.partition(":")
    if colon and kind in ("suffix", "prefix"):
        number = fixed(value, decimals)
        return f"{number} {word}" if kind == "suffix" else f"{word}{number}"
    if unit in PLAIN:
        return f"{fixed(value, decimals)}{PLAIN[unit]}"
    if unit in DURATIONS:
        return _duration(value * DURATIONS[unit], decimals, smallest=unit)
    if unit in SCALED:
        return _scaled(value, SCALED[unit], decimals)
    if unit not in OTHERS:
        raise ValueError(
            f"unit {unit!r} has no case in units.py: add it there, with one in its test"
        )
    return OTHERS[unit](value, decimals)


def fixed(value: float, decimals: int | None = None) -> str:
    """Return a number with so many decimals."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    decimals = _enough(value) if decimals is None else decimals
    if value and abs(value) < 1e-6 and decimals > 6:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    # Halves go up, as JavaScript rounds; Python's format takes the even neighbour.
    factor = 10**decimals
    rounded = math.floor(value * factor + 0.5) / factor
    return (
        f"{rounded:.{decimals}f}".replace("-0", "0") if not rounded else f"{rounded:.{decimals}f}"
    )


def _enough(value: float) -> int:
    """Return how many decimals it takes for three digits; a whole number needs none."""
    if value % 1 == 0:
        return 0
    return max(0, 2 - math.floor(math.log10(abs(value))))


def _scaled(value: float, scale: Scale, decimals: int | None) -> str:
    step, prefixes, behind = scale
    power = math.floor(math.log(abs(value), step) + 1e-12) if value else 0
    power = min(max(power, 0), len(prefixes) - 1)
    return f"{fixed(value / step**power, decimals)}{behind.format(prefixes[power])}"


def _duration(seconds: float, decimals: int | None, *, smallest: str) -> str:
    """Return a time in the unit that suits it, and in none below the one that it was given in."""
    if not seconds:
        return f"0 {smallest if smallest != 'm' else 'min'}"
    steps = TIMES[{"s": 0, "ms": 2, "m": 4}[smallest] :]
    _, size, name = next(step for step in steps if abs(seconds) < step[0])
    return f"{fixed(seconds / size, decimals)}{name}"


def _date(milliseconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(milliseconds / 1000))


def _scientific(value: float, decimals: int | None) -> str:
    mantissa, _, exponent = (
        f"{value:.16e}" if decimals is None else f"{value:.{decimals}e}"
    ).partition("e")
    if decimals is None:
        mantissa = f"{float(mantissa):.15g}"
    return f"{mantissa}e{int(exponent):+d}"


OTHERS: Mapping[str, Callable[[float, int | None], str]] = {
    "percentunit": lambda value, decimals: f"{fixed(100 * value, decimals)}%",
    "sci": _scientific,
    "dateTimeAsIso": lambda value, _: _date(value),
    "dateTimeAsIsoNoDateIfToday": lambda value, _: _date(value),
    "dateTimeFromNow": lambda value, _: _date(value),
}
