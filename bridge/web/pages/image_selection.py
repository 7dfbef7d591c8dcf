"""Read from parameters which batch is meant, and find it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.storage.index import ImageBatch, ImageIndex, Prefer
from bridge.web.request_params import MAX_UINT32, parse_batch, parse_whole

PARAMETERS = (
    "session",
    "at",
    "window_ms",
    "prefer",
    "epoch",
    "batch",
    "actual",
    "predicted",
    "from",
    "to",
)

DEFAULT_WINDOW_MS = 60_000
"""About what lies between two points of a board that says nothing."""

END_OF_TIME_MS = 2**53
"""Later than anything; what JSON's numbers hold."""

YEAR_5138_SECONDS = 1e11
"""A time below this is meant in seconds."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a link asks for; None: nothing was said."""

    at_ms: int | None = None
    window_ms: int | None = None
    prefer: Prefer | None = None
    epoch: int | None = None
    batch: int | None = None
    actual: int | None = None
    predicted: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None


def read_selection(
    given: Mapping[str, str], class_names: tuple[str, ...]
) -> tuple[Selection, list[str]]:
    """Return what was asked for, and the names of what could not be used."""
    values: dict[str, object] = {}
    values["at_ms"] = _moment(given.get("at", ""))
    values["from_ms"] = _moment(given.get("from", ""))
    values["to_ms"] = _moment(given.get("to", ""))
    values["window_ms"] = _span(given.get("window_ms", ""))
    values["prefer"] = _prefer(given.get("prefer", ""))
    values["actual"] = _class(given.get("actual", ""), class_names)
    values["predicted"] = _class(given.get("predicted", ""), class_names)
    both = parse_batch(given.get("batch", ""))
    values["epoch"] = both[0] if both else parse_whole(given.get("epoch", ""))
    values["batch"] = both[1] if both else parse_whole(given.get("batch", ""))
    read = {"at": "at_ms", "from": "from_ms", "to": "to_ms"}
    unusable = [
        name for name in given if name != "session" and values[read.get(name, name)] is None
    ]
    return Selection(**values), unusable  # type: ignore[arg-type]


def find_batch(index: ImageIndex, session_id: str, asked: Selection) -> ImageBatch | None:
    """Return the batch meant, by the most exact thing said; None: there are no images to show."""
    if asked.epoch is not None and asked.batch is not None:
        return _batch_or_nearest(index, session_id, asked.epoch, asked.batch)
    if asked.actual is not None and asked.predicted is not None:
        found = index.of_cell(
            session_id,
            actual=asked.actual,
            predicted=asked.predicted,
            from_ms=asked.from_ms,
            to_ms=asked.to_ms,
        )
        return found or index.of_cell(session_id, actual=asked.actual, predicted=asked.predicted)
    return _by_moment(index, session_id, asked)


def _by_moment(index: ImageIndex, session_id: str, asked: Selection) -> ImageBatch | None:
    prefer = asked.prefer or Prefer.MAX_LOSS
    if asked.at_ms is not None:
        window = DEFAULT_WINDOW_MS if asked.window_ms is None else asked.window_ms
        return index.at(
            session_id, at_ms=asked.at_ms, window_ms=window, prefer=prefer, epoch=asked.epoch
        )
    if asked.to_ms is not None:
        window = asked.to_ms - min(asked.from_ms or 0, asked.to_ms)
        return index.at(
            session_id, at_ms=asked.to_ms, window_ms=window, prefer=prefer, epoch=asked.epoch
        )
    if asked.epoch is not None or asked.prefer is Prefer.MAX_LOSS:
        return index.at(
            session_id,
            at_ms=END_OF_TIME_MS,
            window_ms=END_OF_TIME_MS,
            prefer=prefer,
            epoch=asked.epoch,
        )
    return next(iter(index.newest(session_id, limit=1)), None)


def _batch_or_nearest(
    index: ImageIndex, session_id: str, epoch: int, batch: int
) -> ImageBatch | None:
    """Return the batch, or the one beside it where its images were not kept."""
    known = index.batch(session_id, epoch, batch)
    if known is not None:
        return known
    beside = [found for found in index.neighbours(session_id, epoch, batch) if found]
    return min(
        beside,
        key=lambda found: (abs(found.epoch - epoch), abs(found.batch - batch)),
        default=None,
    )


def given_parameters(query: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that say something: known, not empty, not left uninterpolated."""
    return {
        name: query[name].strip()
        for name in PARAMETERS
        if query.get(name, "").strip() and "${" not in query[name]
    }


def _moment(text: str) -> int | None:
    """Return milliseconds since 1970 of a time in milliseconds or seconds."""
    value = _number(text)
    if value is None:
        return None
    return min(int(value * 1000 if value < YEAR_5138_SECONDS else value), END_OF_TIME_MS)


def _span(text: str) -> int | None:
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
    """Return the number of a class given as number or name; None for a name that several classes have.

    Boards give the number, so it comes first: the digits of a data set may be named from "1" to "9" and "0".
    """
    number = parse_whole(text, highest=MAX_UINT32 // 2)
    if text not in names or (number is not None and number < len(names)):
        return number
    return names.index(text) if names.count(text) == 1 else None
