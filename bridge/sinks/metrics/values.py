"""Checks single values before they enter the series of a session: NaN, infinity and what is out of range."""

from math import isfinite

from bridge.model import is_ratio
from bridge.sinks.metrics.labels import label_suffix
from bridge.sinks.metrics.observations import Histogram
from bridge.sinks.metrics.series import SessionSeries

CONFIDENCE_FIELD = label_suffix(("field", "confidence"))


def reported_value(series: SessionSeries, name: str, value: float | None) -> float | None:
    """Return the value of a gauge that is measured anew each time: None where the newest message lacks it."""
    return None if value is None else checked_value(series, name, value)


def checked_accuracy(series: SessionSeries, name: str, value: float) -> float | None:
    """Return an accuracy as `checked_value` does; one outside 0..1 is dropped and counted."""
    if isfinite(value) and not is_ratio(value):
        series.shared.telemetry.dropped("accuracy", "out_of_range")
        return None
    return checked_value(series, name, value)


def checked_value(series: SessionSeries, name: str, value: float) -> float:
    """Return a value unchanged, and count it if it is NaN or infinite."""
    if not isfinite(value):
        count(series.nonfinite_values, label_suffix(("field", name)))
    return value


def observe_duration(series: SessionSeries, name: str, seconds: float) -> None:
    """Observe the duration of a batch; a negative one is dropped and counted."""
    if not isfinite(seconds):
        count(series.nonfinite_values, label_suffix(("field", name)))
    elif seconds >= 0:
        series.durations.observe(seconds)
    else:
        series.shared.telemetry.dropped("duration", "negative")


def observe_confidence(series: SessionSeries, histogram: Histogram, confidence: float) -> None:
    """Observe a confidence; one outside 0..1 is dropped and counted."""
    if is_ratio(confidence):
        histogram.observe(confidence)
    elif isfinite(confidence):
        series.shared.telemetry.dropped("confidence", "out_of_range")
    else:
        count(series.nonfinite_values, CONFIDENCE_FIELD)


def count(counts: dict[str, int], label: str) -> None:
    """Add one to the count of a label."""
    counts[label] = counts.get(label, 0) + 1
