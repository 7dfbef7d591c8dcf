"""What the bridge says about sessions that move between bridges."""

import logging
from collections.abc import Mapping

from prometheus_client import Counter, Histogram

log = logging.getLogger("bridge")


class TakeoverTelemetry:
    """Counts the sessions that come from other bridges, and those that leave for them."""

    def __init__(
        self, counters: Mapping[str, Counter], histograms: Mapping[str, Histogram]
    ) -> None:
        """Count in the series of the bridge."""
        self._taken = counters["bridge_sessions_taken_total"]
        self._lost = counters["bridge_sessions_lost_total"]
        self._duration = histograms["bridge_takeover_duration_seconds"]

    def taken(self, sessions: int, seconds: float) -> None:
        """Sessions whose clients came here were taken, from other bridges or from nobody."""
        if sessions:
            self._taken.labels("client").inc(sessions)
            self._duration.observe(seconds)

    def adopted(self, sessions: int) -> None:
        """Sessions of a bridge that is dead were adopted."""
        self._taken.labels("orphan").inc(sessions)
        log.warning(
            "sessions of a bridge that is dead were adopted",
            extra={"fields": {"sessions": sessions}},
        )

    def lost(self, sessions: int) -> None:
        """Sessions were taken by other bridges."""
        self._lost.inc(sessions)
