"""How the numbers that a run logs by name change the series of its session."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from math import isfinite

from bridge.model import Scalars, is_ratio
from bridge.scalar_history import ADMITTED, EXAMINED, GRADIENT_NORM, LEARNING_RATE, MFU
from bridge.sinks.metrics.labels import label_suffix, metric_label
from bridge.sinks.metrics.observations import Extremes
from bridge.sinks.metrics.series import SessionSeries
from bridge.sinks.metrics.values import count

SCALAR_FIELD = label_suffix(("field", "values"))

OWN_ATTRIBUTES = {LEARNING_RATE: "learning_rate", GRADIENT_NORM: "gradient_norm", MFU: "mfu_ratio"}
"""Where the values of names with a family of their own go, whatever their split."""


def show_scalars(series: SessionSeries, scalars: Scalars, at: float) -> None:
    """Set the gauges of the names in a message; those beyond the limits are counted as dropped."""
    series.session_last_update_timestamp_seconds = at
    dropped = Counter(
        {"names_limit": max(0, len(scalars.values) - EXAMINED), "out_of_range": 0},
    )
    for name, value in islice(scalars.values.items(), EXAMINED):
        if not isfinite(value):
            count(series.nonfinite_values, SCALAR_FIELD)
        reason = _show(series, name, scalars.split, value)
        if reason:
            dropped[reason] += 1
    for reason, number in dropped.items():
        if number:
            series.shared.telemetry.dropped("scalar", reason, number)


def note_extremes(series: SessionSeries, scalars: Scalars, at: float) -> None:
    """Note the finite values of a message, which arrived at `at` on the monotonic clock."""
    for label, value in _labelled(series, scalars):
        if isfinite(value):
            extremes = series.metric_extremes.get(label)
            if extremes is None:
                extremes = series.metric_extremes[label] = Extremes()
            extremes.add(value, at)


def _show(series: SessionSeries, name: str, split: str, value: float) -> str:
    """Set the gauge of a name; return ADMITTED, or why it is dropped."""
    reason = series.session.scalars.admit(name, split)
    if reason is not ADMITTED:
        return reason
    attribute = OWN_ATTRIBUTES.get(name)
    if attribute is None:
        series.metric[metric_label(name, split)] = value
    elif name == MFU and isfinite(value) and not is_ratio(value):
        return "out_of_range"
    else:
        setattr(series, attribute, value)
    return ADMITTED


def _labelled(series: SessionSeries, scalars: Scalars) -> Iterator[tuple[str, float]]:
    """Yield the values that have a series of training_metric, by its labels."""
    for name, value in islice(scalars.values.items(), EXAMINED):
        label = metric_label(name, scalars.split)
        if name not in OWN_ATTRIBUTES and label in series.metric:
            yield label, value
