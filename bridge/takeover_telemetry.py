"""What the bridge says about sessions that move between bridges, and about the database that these share."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

log = logging.getLogger("bridge")


class Meaning(Protocol):
    """What an Ack promises."""

    @property
    def sentence(self) -> str:
        """It in words."""

    @property
    def warnings(self) -> Sequence[str]:
        """What an operator should change."""

    @property
    def is_on_disk(self) -> bool:
        """Whether an update is on a disk before it is acknowledged."""

    @property
    def standbys(self) -> int:
        """How many other machines have it by then."""


class TakeoverTelemetry:
    """Counts the sessions that come from other bridges, those that leave for them, and what bridges take along that die."""

    def __init__(
        self,
        counters: Mapping[str, Counter],
        gauges: Mapping[str, Gauge],
        histograms: Mapping[str, Histogram],
    ) -> None:
        """Count in the series of the bridge."""
        self._taken = counters["bridge_sessions_taken_total"]
        self._lost = counters["bridge_sessions_lost_total"]
        self._on_disk = gauges["bridge_ack_on_disk"]
        self._standbys = gauges["bridge_ack_standbys"]
        self._dropped = counters["bridge_dropped_total"]
        self._duration = histograms["bridge_takeover_duration_seconds"]

    def taken(self, sessions: int, seconds: float) -> None:
        """Sessions whose clients came here were taken, from other bridges or from nobody."""
        if sessions:
            self._taken.labels("client").inc(sessions)
            self._duration.observe(seconds)

    def adopted(self, sessions: int, former: Collection[str]) -> None:
        """Sessions of a bridge that has stopped, or was not seen for too long, were adopted."""
        self._taken.labels("orphan").inc(sessions)
        log.info(
            "sessions of a bridge that stopped or died were adopted",
            extra={"fields": {"sessions": sessions, "bridge_id": " ".join(sorted(former))}},
        )

    def lost(self, sessions: int) -> None:
        """Sessions were taken by other bridges."""
        self._lost.inc(sessions)

    def meaning_found(self, meaning: Meaning) -> None:
        """It is known what an Ack means, by how the database is set."""
        self._on_disk.set(meaning.is_on_disk)
        self._standbys.set(meaning.standbys)
        log.info(meaning.sentence, extra={"fields": {"standbys": meaning.standbys}})
        for text in meaning.warnings:
            log.warning(text)

    def images_lost(self, session_id: str, images: int, *, shards: int, bridge_id: str) -> None:
        """A bridge is gone for good, as far as one can see, with images that only its disk had."""
        self._dropped.labels("image", "lost").inc(images)
        log.error(
            "images are lost with a bridge that is gone: only its disk had them; should it come back with that, so will they",
            extra={
                "fields": {
                    "session_id": session_id,
                    "images": images,
                    "shards": shards,
                    "bridge_id": bridge_id,
                }
            },
        )
