"""How single values enter the series of a session, the ones that are no numbers included."""

from math import inf, isfinite

from bridge.sinks.metrics.labels import closed
from bridge.sinks.metrics.observations import Histogram
from bridge.sinks.metrics.series import SessionSeries

CONFIDENCE_FIELD = closed(("field", "confidence"))


def told(series: SessionSeries, name: str, known: float | None, value: float) -> float | None:
    """Return the value of a field that is 0 where it was not told: such a 0 begins no series."""
    return None if known is None and value == 0 else seen(series, name, value)


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
    """Take a confidence; a negative one is left out and counted."""
    if 0.0 <= confidence < inf:
        histogram.observe(confidence)
    elif isfinite(confidence):
        series.shared.telemetry.dropped("confidence", "negative")
    else:
        count(series.nonfinite_values, CONFIDENCE_FIELD)


def count(counts: dict[str, int], label: str) -> None:
    """Add one."""
    counts[label] = counts.get(label, 0) + 1
