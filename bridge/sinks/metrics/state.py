"""The sink that keeps the series of all sessions."""

import time
from collections.abc import Callable, Iterable, Mapping
from math import isfinite

from bridge.lifecycle import Absent, Disconnected, Ended, Event, Expired, Moved, Superseded
from bridge.model import Batch, ImageResult, Scalars
from bridge.session import Session
from bridge.sinks.metrics.classes import Classes
from bridge.sinks.metrics.labels import label_suffix
from bridge.sinks.metrics.scalars import note_extremes
from bridge.sinks.metrics.series import CHECKPOINT_KEY, SessionSeries, Shared
from bridge.sinks.metrics.updates import UPDATES
from bridge.storage.image_counts import ImageCount
from bridge.telemetry import Telemetry

Confusion = Mapping[tuple[str, str], int]
"""Count of predictions by (true class, predicted class), as the labels of the series have them."""

AHEAD_SECONDS = 60.0
"""A time further in the future than this was read before the clock was set back."""

OWN_RESULTS = tuple(result for result in ImageResult if result is not ImageResult.LOST)
"""What becomes of images where no other bridge may take some along."""

IMAGE_LABELS = {result: label_suffix(("result", result)) for result in ImageResult}


class TrainingMetrics:
    """A sink whose sessions have series from their registration until they expire."""

    name = CHECKPOINT_KEY

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        classes_limit: int = 32,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] | None = None,
        is_shared: bool = False,
    ) -> None:
        """Start without sessions; classes from `classes_limit` on become "other".

        `clock` returns seconds since 1970; `monotonic` measures intervals. Without it `clock` is taken for
        a clock that is never set. `is_shared`: other bridges have the same sessions, and may take images of them along.
        """
        results = tuple(ImageResult) if is_shared else OWN_RESULTS
        self._image_labels = tuple(IMAGE_LABELS[result] for result in results)
        self._shared = Shared(telemetry, clock, Classes(classes_limit), monotonic or clock)
        self._series: dict[str, SessionSeries] = {}

    def __len__(self) -> int:
        """Count the sessions that have series."""
        return len(self._series)

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Update the series of a session by an event."""
        self._apply(session, event, received, self._shared.monotonic())

    def replay(self, session: Session, event: Event, received: float) -> None:
        """Apply an event again after a restart; its age is known from the wall clock only."""
        age = max(0.0, self._shared.clock() - received)
        self._apply(session, event, received, self._shared.monotonic() - age)

    def _apply(self, session: Session, event: Event, received: float, at: float) -> None:
        """Update the series; `at` is when the event arrived, on the monotonic clock."""
        series = self._series.get(session.id)
        if series is None or series.session is not session:
            series = self._open(session, event, series)
            if series is None:
                return
        update = UPDATES.get(type(event))
        if update is not None:
            update(series, event, received)
            if isinstance(event, Batch) and event.loss is not None and isfinite(event.loss):
                series.extremes.add(event.loss, at)
            elif isinstance(event, Scalars):
                note_extremes(series, event, at)
        elif isinstance(event, Expired | Moved):
            del self._series[session.id]

    def snapshot(self, session: Session) -> dict[str, object] | None:
        """Return what the series of a session continue from after a restart, or None where it has none."""
        series = self._series.get(session.id)
        return None if series is None or series.session is not session else series.snapshot()

    def on_images_resolved(self, counted: ImageCount) -> None:
        """Count images that something has become of; those of an older attempt are not this one's."""
        series = self._series.get(counted.session_id)
        if series is None or series.session.attempt != counted.attempt:
            return
        if not series.images:
            series.images = dict.fromkeys(self._image_labels, 0)
        label = IMAGE_LABELS[counted.result]
        series.images[label] = series.images.get(label, 0) + counted.images
        if counted.result is ImageResult.STORED and counted.images:
            newest = series.last_image_timestamp_seconds or 0.0
            if newest > self._shared.clock() + AHEAD_SECONDS:
                newest = 0.0
            series.last_image_timestamp_seconds = max(newest, counted.at_ms / 1000)

    def confusion(self, session_id: str) -> Confusion:
        """Return the predictions of a session, empty if there were none or it has expired."""
        series = self._series.get(session_id)
        counts: dict[tuple[str, str], int] = {}
        for label, count in series.predictions.items() if series is not None else ():
            pair = self._shared.classes.pairs[label]
            counts[pair] = counts.get(pair, 0) + count
        return counts

    def all(self) -> tuple[SessionSeries, ...]:
        """Return the series of every session, oldest registration first; none of one that went on elsewhere."""
        return tuple(one for one in self._series.values() if not one.session.has_moved)

    def all_there(self, shown: Iterable[SessionSeries]) -> bool:
        """Return whether none of these has gone since, or went on elsewhere."""
        return all(
            self._series.get(one.session.id) is one and not one.session.has_moved for one in shown
        )

    def _open(
        self, session: Session, event: Event, known: SessionSeries | None
    ) -> SessionSeries | None:
        """Return new series for an attempt; None for an event of an attempt older than the series."""
        if known is not None and session.attempt < known.session.attempt:
            return None
        if isinstance(event, Disconnected | Absent | Ended | Expired | Moved | Superseded):
            return known
        series = self._series[session.id] = SessionSeries(session, self._shared)
        return series
