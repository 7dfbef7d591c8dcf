"""How events that a training loop reports change the series of its session."""

from bridge.model import Occurrence
from bridge.sinks.metrics.labels import clean_name, label_suffix
from bridge.sinks.metrics.series import SessionSeries
from bridge.sinks.metrics.values import count

EVENT_NAMES_LIMIT = 64
"""Names of events per session; all others count as "other"."""

OTHER_EVENT = label_suffix(("name", "other"))


def count_occurrence(series: SessionSeries, occurrence: Occurrence, at: float) -> None:
    """Count an event by its name; a name beyond the limit counts as "other", and as dropped."""
    series.session_last_update_timestamp_seconds = at
    label = label_suffix(("name", clean_name(occurrence.name)))
    if label not in series.events and len(series.events) >= EVENT_NAMES_LIMIT:
        if label != OTHER_EVENT:
            series.shared.telemetry.dropped("event_name", "limit")
        label = OTHER_EVENT
    count(series.events, label)
