"""The trace of one session attempt: turns what happens into finished spans."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from bridge.model import Batch, Epoch
from bridge.session import Session
from bridge.sinks.spans.epochs import OpenEpoch
from bridge.sinks.spans.links import Pages
from bridge.sinks.spans.span import Outcome, Span, SpanEvent, SpanLink, attributes, cut, cut_name
from bridge.sinks.spans.stretch import EVENTS_LIMIT, Events
from bridge.sinks.spans.windows import OpenWindow, WindowLimits
from bridge.trace_context import span_id_of

OPEN_LIMIT = 2
"""Epochs that may wait for their averages: the running one, and the one before it."""

ROOT_SECONDS = 0.001
"""The first span is sent at once, so it has no duration of its own; backends do not draw one of length zero."""


@dataclass(slots=True)
class Trace:
    """The state of a trace until its session is over."""

    session_id: str
    attempt: int
    trace_id: str
    root_id: str
    registered: float
    last_end: float
    """When the last epoch ended, at first when the session was registered."""
    batches: int = 0
    epochs: int = 0
    last_loss: float | None = None
    last_epoch: dict[str, Any] = field(default_factory=dict)
    """The attributes of the last epoch with averages."""
    highest: int = -1
    """The highest epoch that has a span."""
    rewinds: int = 0
    """How many finished epochs were not above `highest`; makes the ids of their spans unique."""
    windows: int = 0
    """How many windows have a span."""
    ends: int = 0
    last_heard: float = 0.0
    """When the last batch or event arrived, or 0."""
    is_disconnected: bool = False
    running: list[OpenEpoch] = field(default_factory=list)
    events: Events = field(default_factory=lambda: Events(EVENTS_LIMIT))
    """Those that happened while no epoch was running."""

    @classmethod
    def of(cls, session: Session) -> "Trace":
        """Begin the trace of an attempt."""
        root_id = span_id_of(session.id, session.attempt, "session")
        at = session.registered_at
        return cls(session.id, session.attempt, session.trace_id, root_id, at, at)

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Trace":
        """Return the trace of a snapshot."""
        running = [OpenEpoch.restored(epoch) for epoch in state["running"]]
        return cls(**{**state, "running": running, "events": Events.restored(state["events"])})

    def snapshot(self) -> dict[str, Any]:
        """Return plain values for `restored`, none of which changes later."""
        return asdict(self)

    def root(self, session: Session, previous: SpanLink | None, pages: Pages) -> Span:
        """Return the first span: a child of the client's span if that is sampled, else linked to it."""
        remote = session.client.trace_context
        is_child = remote is not None and remote.trace_id == self.trace_id
        links = [previous] if previous else []
        if remote is not None and not is_child:
            links.append(SpanLink(remote.trace_id, remote.span_id, {"training.link": "client"}))
        return Span(
            "training.session",
            self.trace_id,
            self.root_id,
            self.registered,
            self.registered + ROOT_SECONDS,
            parent_id=remote.span_id if remote is not None and is_child else "",
            is_parent_remote=is_child,
            attributes={**self._everywhere(session), **_start_attributes(session, pages)},
            links=tuple(links),
        )

    def add_batch(self, batch: Batch, received: float) -> None:
        """Add a batch; the first one of an epoch starts it."""
        self.batches += 1
        self.last_heard = received
        if batch.loss is not None and math.isfinite(batch.loss):
            self.last_loss = batch.loss
        running = self._running(batch.epoch)
        if running is None:
            duration = batch.duration_seconds or 0.0
            started = (
                max(self.registered, received - duration) if math.isfinite(duration) else received
            )
            running = OpenEpoch(batch.epoch, min(started, received), received)
            self.running.append(running)
        running.add(batch, received)

    def add_event(self, event: SpanEvent) -> None:
        """Add an event to the running epoch, or to the session if there is none."""
        self.last_heard = max(self.last_heard, event.at)
        if self.running:
            self.running[-1].add_event(event)
        else:
            self.events.add(event)

    def add_to_window(
        self, session: Session, batch: Batch, received: float, limits: WindowLimits, pages: Pages
    ) -> list[Span]:
        """Add a batch of a running epoch to its window, and return the span of the window if that is over."""
        epoch = self._running(batch.epoch)
        if epoch is None:
            return []
        if epoch.window is None:
            epoch.window = OpenWindow(epoch.number, epoch.started, received)
        window = epoch.window
        window.add(batch, received)
        if not limits.is_reached(window):
            return []
        epoch.window = OpenWindow(epoch.number, received, received)
        epoch.span_id = epoch.span_id or self._epoch_id(epoch.number)
        return [self._window(session, window, epoch.span_id, pages)]

    def shift(self, seconds: float) -> None:
        """Move all times along with a clock that was set by so many seconds."""
        self.registered += seconds
        self.last_end += seconds
        self.last_heard += seconds if self.last_heard else 0.0
        self.events.shift(seconds)
        for epoch in self.running:
            epoch.shift(seconds)

    @property
    def is_crowded(self) -> bool:
        """Whether more epochs wait for their averages than may."""
        return len(self.running) > OPEN_LIMIT

    def overdue(self, session: Session, pages: Pages) -> list[Span]:
        """Return the spans of epochs whose averages were still missing when later ones began."""
        spans: list[Span] = []
        while self.is_crowded:
            spans += self._unfinished(session, self.running.pop(0), pages)
        return spans

    def finish_epoch(
        self, session: Session, averages: Epoch, received: float, pages: Pages
    ) -> list[Span]:
        """Return the span of an epoch whose averages have arrived, after those of earlier ones without any."""
        unfinished = [epoch for epoch in self.running if epoch.number < averages.number]
        running = self._running(averages.number) or OpenEpoch(
            averages.number, self.last_end, received
        )
        self.running = [epoch for epoch in self.running if epoch.number > averages.number]
        spans = [span for each in unfinished for span in self._unfinished(session, each, pages)]
        self.epochs += 1
        self.last_end = self.last_heard = received
        self.last_epoch = running.attributes(averages)
        return [*spans, *self._epoch(session, running, averages, received, pages)]

    def finish(
        self, session: Session, at: float, outcome: Outcome, message: str, pages: Pages
    ) -> list[Span]:
        """Return the last spans: of epochs without averages, and of the whole session."""
        spans = [
            span
            for epoch in self.running
            for span in self._unfinished(session, epoch, pages, outcome, message)
        ]
        self.running = []
        number = f"end/{self.ends}" if self.ends else "end"
        self.ends += 1
        events, self.events = self.events, Events(EVENTS_LIMIT)
        end = Span(
            "training.session.end",
            self.trace_id,
            span_id_of(self.session_id, self.attempt, number),
            self.registered,
            max(at, self.registered),
            parent_id=self.root_id,
            attributes={
                **self._everywhere(session),
                **self._end_attributes(session, events, pages),
            },
            events=tuple(events.kept),
            outcome=outcome,
            message=str(cut(message)),
        )
        return [*spans, end]

    def link(self) -> SpanLink:
        """Return a link to this trace, for the next attempt."""
        return SpanLink(self.trace_id, self.root_id, {"training.link": "previous attempt"})

    def _running(self, number: int) -> OpenEpoch | None:
        return next((epoch for epoch in self.running if epoch.number == number), None)

    def _unfinished(
        self,
        session: Session,
        epoch: OpenEpoch,
        pages: Pages,
        outcome: Outcome = Outcome.UNSET,
        message: str = "",
    ) -> list[Span]:
        outcome = outcome if outcome is Outcome.ERROR else Outcome.UNSET
        return self._epoch(
            session,
            epoch,
            None,
            epoch.last,
            pages,
            outcome,
            message if outcome is Outcome.ERROR else "",
        )

    def _epoch(
        self,
        session: Session,
        epoch: OpenEpoch,
        averages: Epoch | None,
        end: float,
        pages: Pages,
        outcome: Outcome = Outcome.UNSET,
        message: str = "",
    ) -> list[Span]:
        span_id = epoch.span_id or self._epoch_id(epoch.number)
        windows = []
        if epoch.span_id and epoch.window is not None and epoch.window.batches:
            windows = [self._window(session, epoch.window, span_id, pages)]
        link = {"training.images.url": pages.images(self.session_id, self.attempt, epoch.number)}
        span = Span(
            "training.epoch",
            self.trace_id,
            span_id,
            epoch.started,
            max(end, epoch.started),
            parent_id=self.root_id,
            attributes={
                **self._everywhere(session),
                **epoch.attributes(averages),
                **attributes(link),
            },
            events=epoch.all_events(self.session_id, self.attempt, pages),
            outcome=outcome,
            message=str(cut(message)),
        )
        return [*windows, span]

    def _window(self, session: Session, window: OpenWindow, parent_id: str, pages: Pages) -> Span:
        self.windows += 1
        end = max(window.last, window.started)
        images = pages.images_within(self.session_id, self.attempt, window.started, end)
        return Span(
            "training.window",
            self.trace_id,
            span_id_of(self.session_id, self.attempt, f"window/{self.windows}"),
            window.started,
            end,
            parent_id=parent_id,
            attributes={
                **self._everywhere(session),
                **window.attributes(session, self.windows),
                **attributes({"training.images.url": images}),
            },
            events=window.all_events(self.session_id, self.attempt, pages),
        )

    def _epoch_id(self, number: int) -> str:
        if number <= self.highest:
            self.rewinds += 1
        self.highest = number
        name = f"epoch/{number}/{self.rewinds}" if self.rewinds else f"epoch/{number}"
        return span_id_of(self.session_id, self.attempt, name)

    def _everywhere(self, session: Session) -> dict[str, Any]:
        """Return the attributes that make each span understandable by itself."""
        return attributes(
            {
                "training.session.id": self.session_id,
                "training.session.attempt": self.attempt,
                "training.model.name": session.config.model_name,
                "training.dataset.name": session.config.dataset_name,
            }
        )

    def _end_attributes(self, session: Session, events: Events, pages: Pages) -> dict[str, Any]:
        final = {name: value for name, value in self.last_epoch.items() if name in FINAL}
        return attributes(
            {
                **final,
                "training.status": session.status.value,
                "training.epochs": self.epochs or None,
                "training.batches": self.batches,
                "training.step": session.step,
                "training.tokens": session.tokens or None,
                "training.batch.loss": self.last_loss,
                "training.events.dropped": events.dropped or None,
                "training.session.url": pages.session(self.session_id),
            }
        )


FINAL = (
    *("training.loss", "training.accuracy"),
    *("training.validation.loss", "training.validation.accuracy"),
    "training.learning_rate",
)
"""Attributes of the last epoch that count as results of the session."""

LABELS_LIMIT = 32


def _start_attributes(session: Session, pages: Pages) -> dict[str, Any]:
    config, client = session.config, session.client
    labels = sorted(client.labels.items())[:LABELS_LIMIT]
    return attributes(
        {
            "training.client.name": client.name,
            "training.client.version": client.version,
            "training.epochs.planned": config.total_epochs or None,
            "training.batches_per_epoch": config.batches_per_epoch or None,
            "training.batch_size": config.batch_size or None,
            "training.classes": len(config.class_names) or None,
            "training.session.url": pages.session(session.id),
            **{f"training.label.{cut_name(name)}": value for name, value in labels},
        }
    )
