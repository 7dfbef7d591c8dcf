"""How each kind of event changes the series of its session."""

from collections.abc import Callable, Mapping
from itertools import islice
from math import isfinite
from typing import Any

from bridge.model import (
    Batch,
    CommandAnswered,
    CommandResult,
    CommandSent,
    CommandType,
    Connected,
    Disconnected,
    Ended,
    Epoch,
    Gpu,
    Heartbeat,
    Performance,
    Registered,
    Resources,
    Scalars,
    StatusChange,
)
from bridge.sinks.metrics.labels import NAME_LIMIT, closed, metric_label
from bridge.sinks.metrics.series import BATCH_LOSS_FIELD, SessionSeries

METRICS_LIMIT = 50
"""Names of the user's own per session."""

METRICS_EXAMINED = 1_000
"""Names looked at per message: a message of a million must not hold the event loop."""

GPUS_LIMIT = 64
"""GPUs per session."""

GPU_UUID_LIMIT = 64
"""Characters; NVML's have 40."""

CONFIDENCE_FIELD = closed(("field", "confidence"))
SCALAR_FIELD = closed(("field", "values"))


def _registered(series: SessionSeries, _event: Registered, _at: float) -> None:
    series.describe(series.session.config)


def _connected(series: SessionSeries, _event: Connected, _at: float) -> None:
    series.session_connected = 1


def _disconnected(series: SessionSeries, _event: Disconnected | Ended, _at: float) -> None:
    series.session_connected = 0


def _sign_of_life(series: SessionSeries, _event: Heartbeat | CommandResult, at: float) -> None:
    series.session_last_update_timestamp_seconds = at


def _batch(series: SessionSeries, batch: Batch, at: float) -> None:
    loss = batch.loss
    series.session_last_update_timestamp_seconds = at
    series.epoch = batch.epoch
    series.batch = batch.index
    series.loss = loss
    series.batches += 1
    if isfinite(loss):
        bucket = series.losses.observe(loss)
        series.losses.exemplars[bucket] = (batch.epoch, batch.index, loss, at)
        series.extremes.add(loss, at)
    else:
        series.nonfinite_values[BATCH_LOSS_FIELD] += 1
    if batch.duration_seconds is not None:
        series.tells_durations = True
        _observe_duration(series, "duration_ms", batch.duration_seconds)
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


def _predictions(series: SessionSeries, batch: Batch) -> None:
    if not batch.ground_truth:
        for prediction in batch.predictions:
            confidence = prediction.confidence
            if isfinite(confidence):
                series.unjudged.observe(confidence)
            else:
                _count(series.nonfinite_values, CONFIDENCE_FIELD)
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
        confidence = prediction.confidence
        if isfinite(confidence):
            (right if predicted == actual else wrong).observe(confidence)
        else:
            _count(series.nonfinite_values, CONFIDENCE_FIELD)


def _epoch(series: SessionSeries, epoch: Epoch, at: float) -> None:
    series.session_last_update_timestamp_seconds = at
    series.epochs_completed += 1
    series.epoch_loss = _seen(series, "average_loss", epoch.loss)
    series.epoch_accuracy_ratio = _told(
        series, "average_accuracy", series.epoch_accuracy_ratio, epoch.accuracy
    )
    if epoch.validation_loss is not None:
        series.validation_loss = _seen(series, "validation_loss", epoch.validation_loss)
    if epoch.validation_accuracy is not None:
        series.validation_accuracy_ratio = _seen(
            series, "validation_accuracy", epoch.validation_accuracy
        )
    if epoch.learning_rate is not None:
        series.learning_rate = _seen(series, "learning_rate", epoch.learning_rate)


def _performance(series: SessionSeries, told: Performance, at: float) -> None:
    series.session_last_update_timestamp_seconds = at
    if told.batch_duration_seconds and not series.tells_durations:
        _observe_duration(series, "time_per_batch_ms", told.batch_duration_seconds)
    series.epoch_duration_seconds = _told(
        series,
        "total_time_for_epoch_sec",
        series.epoch_duration_seconds,
        told.epoch_duration_seconds,
    )
    series.estimated_time_remaining_seconds = _told(
        series,
        "estimated_time_remaining_sec",
        series.estimated_time_remaining_seconds,
        told.estimated_time_remaining_seconds,
    )
    series.frames_per_second = _told(
        series, "current_fps", series.frames_per_second, told.frames_per_second
    )
    series.frames_per_second_average = _told(
        series, "average_fps", series.frames_per_second_average, told.frames_per_second_average
    )
    if told.resources is not None:
        _resources(series, told.resources)


def _resources(series: SessionSeries, used: Resources) -> None:
    series.cpu_utilization_ratio = _told(
        series, "cpu_percent", series.cpu_utilization_ratio, used.cpu_utilization_ratio
    )
    series.memory_used_bytes = _told(
        series, "memory_mb", series.memory_used_bytes, used.memory_used_bytes
    )
    left_out = 0
    for gpu in used.gpus:
        label = _gpu_label(series, gpu)
        if label is None:
            left_out += 1
            continue
        for values, name, value in (
            (series.gpu_utilization_ratio, "utilization_percent", gpu.utilization_ratio),
            (series.gpu_memory_used_bytes, "memory_used_mb", gpu.memory_used_bytes),
            (series.gpu_memory_total_bytes, "memory_total_mb", gpu.memory_total_bytes),
            (series.gpu_temperature_celsius, "temperature_celsius", gpu.temperature_celsius),
            (series.gpu_power_watts, "power_watts", gpu.power_watts),
        ):
            if value is not None:
                values[label] = _seen(series, name, value)
    if left_out:
        series.shared.telemetry.dropped("gpu", "limit", left_out)


def _gpu_label(series: SessionSeries, gpu: Gpu) -> str | None:
    known = series.gpus.get(gpu.index)
    if known is None and len(series.gpus) >= GPUS_LIMIT:
        return None
    uuid = gpu.uuid[:GPU_UUID_LIMIT]
    if known is None or known[0] != uuid:
        known = series.gpus[gpu.index] = (
            uuid,
            _relabelled(series, known, closed(("gpu", str(gpu.index)), ("gpu_uuid", uuid))),
        )
    return known[1]


def _relabelled(series: SessionSeries, known: tuple[str, str] | None, label: str) -> str:
    """Drop what the GPU's place told before: an index has one UUID at a time."""
    if known is not None:
        series.gpu_utilization_ratio.pop(known[1], None)
        series.gpu_memory_used_bytes.pop(known[1], None)
        series.gpu_memory_total_bytes.pop(known[1], None)
        series.gpu_temperature_celsius.pop(known[1], None)
        series.gpu_power_watts.pop(known[1], None)
    return label


def _status(series: SessionSeries, change: StatusChange, at: float) -> None:
    series.session_last_update_timestamp_seconds = at
    series.show_status(change.status)
    if change.config is not None:
        series.describe(change.config)


def _scalars(series: SessionSeries, told: Scalars, at: float) -> None:
    series.session_last_update_timestamp_seconds = at
    left_out = max(0, len(told.values) - METRICS_EXAMINED)
    for name, value in islice(told.values.items(), METRICS_EXAMINED):
        label = metric_label(name[:NAME_LIMIT])
        if label not in series.metric and len(series.metric) >= METRICS_LIMIT:
            left_out += 1
            continue
        series.metric[label] = value
        if not isfinite(value):
            _count(series.nonfinite_values, SCALAR_FIELD)
    if left_out:
        series.shared.telemetry.dropped("scalar", "names_limit", left_out)


def _command_sent(series: SessionSeries, sent: CommandSent, _at: float) -> None:
    _count(series.commands, _command_label(sent.type, "sent"))
    for result in ("applied", "refused"):
        series.commands.setdefault(_command_label(sent.type, result), 0)


def _command_answered(series: SessionSeries, answered: CommandAnswered, _at: float) -> None:
    result = "applied" if answered.result.applied else "refused"
    _count(series.commands, _command_label(answered.type, result))


def _command_label(type: CommandType, result: str) -> str:
    return closed(("type", type.name.lower()), ("result", result))


def _observe_duration(series: SessionSeries, name: str, seconds: float) -> None:
    if not isfinite(seconds):
        _count(series.nonfinite_values, closed(("field", name)))
    elif seconds >= 0:
        series.durations.observe(seconds)


def _told(series: SessionSeries, name: str, known: float | None, value: float) -> float | None:
    """Return the value of a field that is 0 where it was not told: such a 0 begins no series."""
    return None if known is None and value == 0 else _seen(series, name, value)


def _seen(series: SessionSeries, name: str, value: float) -> float:
    if not isfinite(value):
        _count(series.nonfinite_values, closed(("field", name)))
    return value


def _count(counts: dict[str, int], label: str) -> None:
    counts[label] = counts.get(label, 0) + 1


UPDATES: Mapping[type, Callable[[SessionSeries, Any, float], None]] = {
    Registered: _registered,
    Connected: _connected,
    Disconnected: _disconnected,
    Ended: _disconnected,
    Batch: _batch,
    Epoch: _epoch,
    Performance: _performance,
    StatusChange: _status,
    Scalars: _scalars,
    Heartbeat: _sign_of_life,
    CommandResult: _sign_of_life,
    CommandSent: _command_sent,
    CommandAnswered: _command_answered,
}
