"""The charts on a session's page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.model import Epoch, is_ratio
from bridge.web.attempts.stitching import Stretch
from bridge.web.charts.attempts_chart import attempts_chart
from bridge.web.charts.epoch_chart import Series, epoch_chart
from bridge.web.charts.event_marks import Mark, event_marks
from bridge.web.charts.line_chart import Chart
from bridge.web.session_view import SessionView

MAX_CHARTED_EPOCHS = 300


@dataclass(frozen=True, slots=True)
class SessionCurves:
    """One chart for each thing that a session reports over time; None: it does not report it."""

    loss: Chart | None
    epoch_loss: Chart | None
    epoch_accuracy: Chart | None
    has_accuracy_ratios: bool
    """Whether all accuracies are between 0 and 1; else they are drawn as they were sent."""
    learning_rate: Chart | None
    events: tuple[Mark, ...] = ()
    """On the chart of the loss."""


def session_curves(session: SessionView, stretches: Sequence[Stretch]) -> SessionCurves:
    """Return the charts of a session; of its loss, by attempt."""
    done = session.epochs_done
    epochs = done[:: 1 + len(done) // MAX_CHARTED_EPOCHS]
    numbers = [epoch.number for epoch in epochs]
    loss: list[Series] = [
        ("training", "a", [epoch.loss for epoch in epochs]),
        ("validation", "b", [epoch.validation_loss for epoch in epochs]),
    ]
    accuracy: list[Series] = [
        ("training", "a", [epoch.accuracy for epoch in epochs]),
        ("validation", "b", [epoch.validation_accuracy for epoch in epochs]),
    ]
    has_ratios = all(map(_has_accuracy_ratios, epochs))
    rate: list[Series] = [("learning rate", "a", [epoch.learning_rate for epoch in epochs])]
    chart = attempts_chart(stretches, counts_steps=session.counts_steps)
    return SessionCurves(
        loss=chart,
        epoch_loss=epoch_chart(numbers, loss),
        epoch_accuracy=epoch_chart(numbers, accuracy, highest=1.0 if has_ratios else math.inf),
        has_accuracy_ratios=has_ratios,
        learning_rate=epoch_chart(numbers, rate),
        events=event_marks(chart, session.occurrences),
    )


def _has_accuracy_ratios(epoch: Epoch) -> bool:
    return all(
        is_ratio(value)
        for value in (epoch.accuracy, epoch.validation_accuracy)
        if value is not None and math.isfinite(value)
    )
