"""What the output of a command is read on: how wide it is, whether it takes colours, and small drawings in text."""

import math
import os
import shutil
import sys
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-=+*%#"
COLOURS = {"green": "32", "red": "31", "yellow": "33", "bold": "1", "dim": "2"}
STATE_COLOURS = {
    **dict.fromkeys(("running", "completed", "applied"), "green"),
    **dict.fromkeys(("failed", "lost", "refused", "terminated"), "red"),
    **dict.fromkeys(("paused", "disconnected", "moved", "stopped", "interrupted"), "yellow"),
}


def is_terminal() -> bool:
    """Return whether a person reads the output as it comes."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: str | None) -> str:
    """Return the text in a colour, where the output is a terminal and NO_COLOR is not set."""
    if colour is None or not is_terminal() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def width() -> int:
    """Return how many letters fit into a line."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def cut(text: str, letters: int) -> str:
    """Return the text on one line, shortened where it is longer; what a terminal would obey is left out."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= letters else f"{plain[: letters - 3]}..."


def sparkline(values: Sequence[float | None], letters: int = 32) -> str:
    """Return a curve as one line of bars, its lowest value the smallest bar; gaps are spaces."""
    values = _thinned(values, letters)
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return ""
    bars = BARS if _can_write(BARS) else PLAIN_BARS
    low, span = min(finite), max(finite) - min(finite)
    return "".join(
        bars[round((value - low) / span * (len(bars) - 1)) if span > 0 else 0]
        if value is not None and math.isfinite(value)
        else " "
        for value in values
    )


def progress_bar(ratio: float, letters: int = 24) -> str:
    """Return how much is done as a bar."""
    done, rest = ("█", "░") if _can_write("█░") else ("#", ".")
    filled = round(min(1.0, max(0.0, ratio)) * letters)
    return done * filled + rest * (letters - filled)


def _thinned(values: Sequence[float | None], most: int) -> list[float | None]:
    """Return the last value of each of at most so many equal parts."""
    if len(values) <= most:
        return list(values)
    return [values[(part + 1) * len(values) // most - 1] for part in range(most)]


def _can_write(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True
