"""What BridgeClient returns as frames of pandas, where pandas is installed; nothing else of the SDK needs it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from bridge.client.query_logged import Annotation, Comparison, Curve, LoggedEvent
from bridge.client.query_types import (
    EpochAverages,
    ListedBatch,
    LossBin,
    SessionSummary,
    SubmittedCommand,
)

if TYPE_CHECKING:
    import pandas as pd

INDEXES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Curve, ("step",)),
    (LossBin, ("epoch", "batch")),
    (ListedBatch, ("epoch", "batch")),
    (EpochAverages, ("epoch",)),
    (LoggedEvent, ("time",)),
    (Annotation, ("time",)),
    (SubmittedCommand, ("time",)),
    (SessionSummary, ("session_id",)),
)
"""What a frame of each kind of record is indexed by; the first that fits counts."""

RENAMED = {
    (EpochAverages, "number"): "epoch",
    (LossBin, "start"): "time",
    (LoggedEvent, "at"): "time",
    (SubmittedCommand, "asked_at"): "time",
    (ListedBatch, "received_ms"): "time",
}
SECONDS = frozenset({"registered_at", "updated_at", "ended_at", "answered_at"})
"""Columns of times, beside `time`."""

MILLISECONDS = (ListedBatch, Annotation)
"""Records whose times are in milliseconds."""

WITHOUT_PANDAS = "frames need pandas, which is not installed here: pip install pandas"


def to_pandas(records: Iterable[Any] | Comparison) -> "pd.DataFrame":
    """Return records of BridgeClient as a frame: curves, events, annotations, sessions, batches, commands, epochs, losses.

    A row is a point of a curve, else a record. Curves are indexed by step (or by the seconds of `by="time"`),
    batches and losses by epoch and batch, epochs by epoch, sessions by their id, and what has only a time by that;
    times are in UTC. A comparison becomes the keys whose values differ, a column for each session.
    Raises ModuleNotFoundError without pandas, TypeError for records of several kinds or of another kind.
    """
    try:
        import pandas as pd  # noqa: PLC0415 -- an option, and slow to import
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(WITHOUT_PANDAS, name=error.name) from error
    if isinstance(records, Comparison):
        rows = [{"name": row.name, **row.values} for row in records.config.different]  # noqa: PD011 -- not a frame
        names = [session.session_id for session in records.sessions]
        return pd.DataFrame(rows, columns=["name", *names]).set_index("name")
    listed = list(records)
    if not listed:
        return pd.DataFrame()
    kind, index = _kind_of(listed)
    frame = pd.DataFrame(list(rows_of(listed)))
    for column in SECONDS | {"time"}:
        if column in frame:
            unit = "ms" if kind in MILLISECONDS else "s"
            frame[column] = pd.to_datetime(frame[column], unit=unit, utc=True)
    return frame.set_index(list(index) if len(index) > 1 else index[0])


def rows_of(records: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a frame, each by the names of its columns."""
    for record in records:
        if isinstance(record, Curve):
            yield from _rows_of_curve(record)
        else:
            yield _row_of(record)


def _kind_of(records: list[Any]) -> tuple[type, tuple[str, ...]]:
    for kind, index in INDEXES:
        if all(isinstance(record, kind) for record in records):
            return kind, index
    raise TypeError(
        f"records of one kind of BridgeClient become a frame, not {type(records[0]).__name__}; give what one"
        " of its methods returns, or `losses` or `epochs` of a session"
    )


def _rows_of_curve(curve: Curve) -> Iterator[Mapping[str, Any]]:
    for point in curve.points:
        yield {
            "step": point.x,
            "name": curve.name,
            "split": curve.split,
            "time": point.at,
            "value": point.mean,
            "low": point.low,
            "high": point.high,
            "count": point.count,
            "nonfinite": point.nonfinite,
        }


def _row_of(record: Any) -> Mapping[str, Any]:
    kind = next((kind for kind, _ in INDEXES if isinstance(record, kind)), type(record))
    return {
        RENAMED.get((kind, one.name), one.name): getattr(record, one.name) for one in fields(record)
    }
