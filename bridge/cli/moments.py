"""Moments as people give them: so long ago, or a date and time."""

import argparse
import re
import time
from datetime import datetime

UNITS = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
AGO = re.compile(r"(\d+(?:\.\d+)?)(s|min|m|h|d|w)")


def moment(text: str) -> float:
    """Return a moment in seconds since 1970: so long ago, such as 2h or 3d, or as ISO 8601 has it."""
    ago = AGO.fullmatch(text)
    if ago is not None:
        return time.time() - float(ago[1]) * UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: give how long ago, such as 2h, 3d or 45min, or a time such as"
            " 2026-03-01T14:00 (local time unless it has an offset)"
        ) from error


def add_since(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the flag that leaves out what is older."""
    parser.add_argument(
        "--since",
        type=moment,
        metavar="WHEN",
        help=f"only {what} since then: how long ago, such as 2h or 3d, or a time such as 2026-03-01T14:00",
    )
