"""How single values enter the series of a session, the ones that are no numbers included."""

from math import isfinite

from bridge.model import is_ratio
from bridge.sinks.metrics.labels import closed
from bridge.sinks.metrics.observations import Histogram
from bridge.sinks.metrics.series import SessionSeries

CONFIDENCE_FIELD = closed(("field", "confidence"))


def measured(series: SessionSeries, name: str, value: float | None) -> float | None:
    """Return what a gauge of the present moment shows: nothing where the newest measurement lacks it."""
    return None if value is None else seen(series, name, value)


def accuracy(series: SessionSeries, name: str, value: float) -> float | None:
    """Return an accuracy as `seen` does; what is outside 0..1 is no ratio, and counted as dropped."""
    if isfinite(value) and not is_ratio(value):
        series.shared.telemetry.dropped("accuracy", "out_of_range")
        return None
    return seen(series, name, value)


def seen(series: SessionSeries, name: str, value: float) -> float:
    """Return a value as it is, and count it where it is NaN or infinite."""
    if not isfinite(value):
        count(series.nonfinite_values, closed(("field", name)))
    return value


def observe_duration(series: SessionSeries, name: str, seconds: float) -> None:
    """Take how long a batch took; less than nothing is left out and counted."""
    if not isfinite(seconds):
        count(series.nonfinite_values, closed(("field", name)))
    elif seconds >= 0:
        series.durations.observe(seconds)
    else:
        series.shared.telemetry.dropped("duration", "negative")


def observe_confidence(series: SessionSeries, histogram: Histogram, confidence: float) -> None:
    """Take a confidence; one outside 0..1 is left out and counted."""
    if is_ratio(confidence):
        histogram.observe(confidence)
    elif isfinite(confidence):
        series.shared.telemetry.dropped("confidence", "out_of_range")
    else:
        count(series.nonfinite_values, CONFIDENCE_FIELD)


def count(counts: dict[str, int], label: str) -> None:
    """Add one."""
    counts[label] = counts.get(label, 0) + 1
