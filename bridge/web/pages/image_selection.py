"""Read which images a link means from its parameters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.storage.index import Prefer
from bridge.web.request_params import MAX_UINT32, parse_batch, parse_whole

PARAMETERS = (
    "session",
    "at",
    "window_ms",
    "held_ms",
    "prefer",
    "epoch",
    "batch",
    "actual",
    "predicted",
    "from",
    "to",
    "attempt",
)

NEEDED = {
    "batch": "epoch",
    "actual": "predicted",
    "predicted": "actual",
    "window_ms": "at",
    "held_ms": "at",
}
"""Parameters that mean nothing without another one."""

END_OF_TIME_MS = 2**53
"""Later than anything; the largest whole number that JSON carries exactly."""

YEAR_5138_SECONDS = 1e11
"""A time below this must be in seconds."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a link selects by; None: it does not say."""

    at_ms: int | None = None
    window_ms: int | None = None
    held_ms: int | None = None
    prefer: Prefer | None = None
    epoch: int | None = None
    batch: int | None = None
    actual: int | None = None
    predicted: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    attempt: int | None = None

    @property
    def place(self) -> tuple[int, int] | None:
        """The one batch that is meant, as epoch and batch; None: it is selected by something else."""
        if self.epoch is None or self.batch is None:
            return None
        return self.epoch, self.batch


def usable_parameters(query: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that are known, not empty, and not left uninterpolated by Grafana."""
    return {
        name: query[name].strip()
        for name in PARAMETERS
        if query.get(name, "").strip() and "${" not in query[name]
    }


def read_selection(
    given: Mapping[str, str], class_names: tuple[str, ...]
) -> tuple[Selection, list[str]]:
    """Return what a link selects by, and the names of the parameters that cannot be used."""
    pair = parse_batch(given.get("batch", ""))
    values = {
        "at": _time_ms(given.get("at", "")),
        "window_ms": _duration_ms(given.get("window_ms", "")),
        "held_ms": _duration_ms(given.get("held_ms", "")),
        "prefer": _prefer(given.get("prefer", "")),
        "epoch": pair[0] if pair else parse_whole(given.get("epoch", "")),
        "batch": pair[1] if pair else parse_whole(given.get("batch", "")),
        "actual": _class(given.get("actual", ""), class_names),
        "predicted": _class(given.get("predicted", ""), class_names),
        "from": _time_ms(given.get("from", "")),
        "to": _time_ms(given.get("to", "")),
        "attempt": parse_whole(given.get("attempt", "")) or None,
    }
    useless = {name for name, other in NEEDED.items() if values[other] is None}
    unusable = [
        name for name in given if name != "session" and (values[name] is None or name in useless)
    ]
    return Selection(*values.values()), unusable  # type: ignore[arg-type]  # in its fields' order


def _time_ms(text: str) -> int | None:
    """Return milliseconds since 1970 of a time in milliseconds or seconds."""
    value = _number(text)
    if value is None:
        return None
    return min(int(value * 1000 if value < YEAR_5138_SECONDS else value), END_OF_TIME_MS)


def _duration_ms(text: str) -> int | None:
    value = _number(text)
    return None if value is None else min(int(value), END_OF_TIME_MS)


def _number(text: str) -> float | None:
    try:
        value = float(text[:40])
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _prefer(text: str) -> Prefer | None:
    return Prefer(text) if text in tuple(Prefer) else None


def _class(text: str, names: tuple[str, ...]) -> int | None:
    """Return the number of a class given as number or name; None for a name that several classes share.

    Dashboards give the number, so it comes first: the digits of a data set may be named from "1" to "9" and "0".
    """
    number = parse_whole(text, highest=MAX_UINT32 // 2)
    if text not in names or (number is not None and number < len(names)):
        return number
    return names.index(text) if names.count(text) == 1 else None
