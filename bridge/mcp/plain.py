"""What a bridge has answered, as JSON of bounded size that an assistant can read without a manual."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

LONGEST_TEXT = 500
LONGEST_LIST = 64 << 10
"""Characters of the records of one answer, which fill what an assistant can hold in mind."""

SIGNIFICANT_DIGITS = 6

HIDDEN = frozenset({"trace_id", "api_url", "images_url", "in_store", "received_ms"})
"""Members that lead to other programs, and say nothing here."""


def plain(value: Any, name: str = "") -> Any:
    """Return JSON of a record or a part of one; `name` is what the part is called.

    Times become text in UTC, other floats are rounded, and those that JSON does not have are spelled out.
    """
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: getattr(value, field.name) for field in fields(value)}
        return plain(members)
    if isinstance(value, Mapping):
        return {key: plain(part, key) for key, part in value.items() if key not in HIDDEN}
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]} ..."
    if isinstance(value, Sequence):
        return [plain(part) for part in value]
    if isinstance(value, float) or name in ("at", "start"):
        return time_text(value) if _is_time(name) else number(value)
    return value


def number(value: float) -> float | str:
    """Return a number with as many digits as anybody reads; "NaN" and "Infinity" are texts."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value):
        return value  # a step, whatever its number
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def time_text(seconds: float | None) -> str | None:
    """Return a time in seconds since 1970 as ISO 8601 in UTC."""
    if seconds is None or not math.isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return None  # no time that a clock has shown


def newest(records: Sequence[Any], limit: int) -> list[Any]:
    """Return the last of them as JSON, the oldest of those first: as many as fit into an answer, and one at least."""
    chosen: list[Any] = []
    room = LONGEST_LIST
    for record in reversed(records[-limit:] if limit else ()):
        shown = plain(record)
        room -= len(json.dumps(shown, ensure_ascii=False))
        if room < 0 and chosen:
            break
        chosen.append(shown)
    return chosen[::-1]


def _is_time(name: str) -> bool:
    return name.endswith("_at") or name in ("at", "start")
