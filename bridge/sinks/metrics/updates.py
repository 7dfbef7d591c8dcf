"""How each type of event changes the series of its session."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from bridge.hardware import Resources
from bridge.lifecycle import (
    Absent,
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Registered,
)
from bridge.model import (
    Batch,
    CommandResult,
    Epoch,
    Heartbeat,
    Occurrence,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.protocol import CommandType
from bridge.sinks.metrics.hardware import show_resources
from bridge.sinks.metrics.labels import label_suffix
from bridge.sinks.metrics.occurrences import count_occurrence
from bridge.sinks.metrics.scalars import show_scalars
from bridge.sinks.metrics.series import BATCH_LOSS_FIELD, SessionSeries
from bridge.sinks.metrics.values import (
    checked_accuracy,
    checked_value,
    count,
    observe_confidence,
    observe_duration,
    reported_value,
)

MEASUREMENTS = (
    ("epoch_duration_seconds", "total_time_for_epoch_sec"),
    ("estimated_time_remaining_seconds", "estimated_time_remaining_sec"),
    ("frames_per_second", "current_fps"),
    ("frames_per_second_average", "average_fps"),
)
"""Attributes of a Performance, and their names in the protocol."""

NO_RESOURCES = Resources()


def _registered(series: SessionSeries, _event: Registered, _at: float) -> None:
    series.describe(series.session.config)


def _connected(series: SessionSeries, _event: Connected, _at: float) -> None:
    series.session_connected = 1
    series.show_status(series.session.status)


def _disconnected(series: SessionSeries, _event: Disconnected, _at: float) -> None:
    series.session_connected = 0


def _absent(series: SessionSeries, _event: Absent, _at: float) -> None:
    series.show_status("disconnected")


def _ended(series: SessionSeries, ended: Ended, _at: float) -> None:
    series.session_connected = 0
    if ended.stage is Stage.LOST:
        series.show_status(Stage.LOST)


def _sign_of_life(series: SessionSeries, _event: Heartbeat | CommandResult, at: float) -> None:
    series.session_last_update_timestamp_seconds = at


def _batch(series: SessionSeries, batch: Batch, at: float) -> None:
    series.session_last_update_timestamp_seconds = at
    series.epoch = batch.epoch
    series.batch = batch.index
    series.batches += 1
    if batch.loss is not None:
        _loss(series, batch, batch.loss, at)
    if batch.duration_seconds is not None:
        series.tells_durations = True
        observe_duration(series, "duration_ms", batch.duration_seconds)
    samples = (
        batch.sample_count
        or len(batch.ground_truth)
        or len(batch.predictions)
        or len(batch.images) + batch.invalid_images
    )
    if samples:
        series.samples = (series.samples or 0) + samples
    if batch.predictions:
        _predictions(series, batch)


def _loss(series: SessionSeries, batch: Batch, loss: float, at: float) -> None:
    series.loss = loss
    if isfinite(loss):
        series.observe_loss(batch, loss, at)
    else:
        series.nonfinite_values[BATCH_LOSS_FIELD] += 1


def _predictions(series: SessionSeries, batch: Batch) -> None:
    if not batch.ground_truth:
        for prediction in batch.predictions:
            if prediction.confidence is not None:
                observe_confidence(series, series.unjudged, prediction.confidence)
        return
    text, counts, right, wrong = (
        series.shared.classes.text,
        series.predictions,
        series.right,
        series.wrong,
    )
    for prediction, actual in zip(batch.predictions, batch.ground_truth, strict=False):
        predicted = prediction.predicted_class
        label = text(actual, predicted)
        counts[label] = counts.get(label, 0) + 1
        if prediction.confidence is not None:
            observe_confidence(
                series, right if predicted == actual else wrong, prediction.confidence
            )


def _epoch(series: SessionSeries, epoch: Epoch, at: float) -> None:
    series.session_last_update_timestamp_seconds = at
    series.epochs_completed += 1
    if epoch.loss is not None:
        series.epoch_loss = checked_value(series, "average_loss", epoch.loss)
    if epoch.accuracy is not None:
        series.epoch_accuracy_ratio = checked_accuracy(series, "average_accuracy", epoch.accuracy)
    if epoch.validation_loss is not None:
        series.validation_loss = checked_value(series, "validation_loss", epoch.validation_loss)
    if epoch.validation_accuracy is not None:
        series.validation_accuracy_ratio = checked_accuracy(
            series, "validation_accuracy", epoch.validation_accuracy
        )
    if epoch.learning_rate is not None:
        series.learning_rate = checked_value(series, "learning_rate", epoch.learning_rate)


def _performance(series: SessionSeries, performance: Performance, at: float) -> None:
    series.session_last_update_timestamp_seconds = at
    if performance.batch_duration_seconds is not None and not series.tells_durations:
        observe_duration(series, "time_per_batch_ms", performance.batch_duration_seconds)
    if performance.batches is not None:  # of a rank that sends no batches
        series.batches = max(series.batches, performance.batches)
    _count_refused_phases(series, performance)
    for name, field in MEASUREMENTS:
        setattr(series, name, reported_value(series, field, getattr(performance, name)))
    show_resources(series, performance.resources or NO_RESOURCES)


def _status(series: SessionSeries, change: StatusChange, at: float) -> None:
    series.session_last_update_timestamp_seconds = at
    if change.status is not Status.UNKNOWN:
        series.show_status(change.status)
    if change.config is not None:
        series.describe(series.session.config.updated(change.config))
    _count_refused_phases(series, change)


def _count_refused_phases(series: SessionSeries, report: Performance | StatusChange) -> None:
    refused = series.session.phases.count_refused(report.phase, report.phase_seconds)
    if refused:
        series.shared.telemetry.dropped("phase", "names_limit", refused)


def _command_sent(series: SessionSeries, sent: CommandSent, _at: float) -> None:
    count(series.commands, _command_label(sent.type, "sent"))
    for result in ("applied", "refused"):
        series.commands.setdefault(_command_label(sent.type, result), 0)


def _command_answered(series: SessionSeries, answered: CommandAnswered, _at: float) -> None:
    result = "applied" if answered.result.applied else "refused"
    count(series.commands, _command_label(answered.type, result))


def _command_label(type: CommandType, result: str) -> str:
    return label_suffix(("type", type.name.lower()), ("result", result))


UPDATES: Mapping[type, Callable[[SessionSeries, Any, float], None]] = {
    Registered: _registered,
    Connected: _connected,
    Disconnected: _disconnected,
    Absent: _absent,
    Ended: _ended,
    Batch: _batch,
    Epoch: _epoch,
    Performance: _performance,
    StatusChange: _status,
    Scalars: show_scalars,
    Occurrence: count_occurrence,
    Heartbeat: _sign_of_life,
    CommandResult: _sign_of_life,
    CommandSent: _command_sent,
    CommandAnswered: _command_answered,
}
