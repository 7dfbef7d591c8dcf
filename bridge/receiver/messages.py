"""From each kind of message of the protocol to the frozen model."""

from collections.abc import Callable, Iterator
from typing import Any

from bridge.errors import InvalidDataError
from bridge.model import (
    Batch,
    CommandResult,
    Epoch,
    Heartbeat,
    Image,
    Level,
    Message,
    Occurrence,
    Performance,
    Prediction,
    Scalars,
    Status,
    StatusChange,
    is_ratio,
    reported,
)
from bridge.receiver.jpeg import checked
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.phases import phase_of, phase_seconds_of
from bridge.receiver.resources import resources_of
from bridge.receiver.run_info import config_of, details_of
from bridge.wire import metrics_pb2 as wire

ROUNDING = 1e-3
"""A ratio of numbers with half precision may exceed 1 by so much."""

STATUSES = tuple(Status)[: len(wire.TrainingStatus.values())]
"""By number of the protocol's TrainingStatus."""

ENDINGS = {
    str(status): status for status in (Status.STOPPED, Status.INTERRUPTED, Status.TERMINATED)
}
"""By the protocol's `ending`: refinements of COMPLETED and FAILED."""

LEVELS = tuple(Level)
"""By number of the protocol's Event.Level."""


def _batch(request: wire.MetricsRequest, limits: MessageLimits, faults: list[str]) -> Batch:
    data = request.batch_data
    images, predictions, truths = data.images, data.predictions, data.ground_truth
    count = len(images)
    duration = data.duration_ms / 1000 if data.HasField("duration_ms") else None
    step = data.global_step if data.HasField("global_step") else None
    if not (count or predictions or truths):
        # By position: this is built for nearly every message, and keywords would cost it a fifth of a microsecond.
        return Batch(
            data.epoch,
            data.batch_idx,
            None if data.loss_missing else data.batch_loss,
            (),
            0,
            (),
            (),
            duration,
            data.sample_count,
            0,
            0,
            step,
            data.token_count,
        )
    if count > limits.images_per_batch:
        raise InvalidDataError(
            f"images: {count} are more than the {limits.images_per_batch} allowed"
        )
    lengths = {len(part) for part in (images, predictions, truths) if part}
    if len(lengths) > 1:
        raise InvalidDataError(
            f"images, predictions, ground_truth: {count}, {len(predictions)} and {len(truths)} of them do not match"
        )
    judged = tuple([Prediction(p.predicted_class, _confidence(p.confidence)) for p in predictions])
    classes = tuple(truths)
    kept = tuple(_images(images, judged, classes, limits, faults))
    return Batch(
        data.epoch,
        data.batch_idx,
        None if data.loss_missing else data.batch_loss,
        kept,
        len(faults),
        judged,
        classes,
        duration,
        data.sample_count or len(classes) or count,
        request.timestamp_ms,
        len(kept) + len(faults),
        step,
        data.token_count,
    )


def _confidence(value: float) -> float | None:
    return (_ratio(value) if value > 1.0 else value) or None


def _ratio(value: float) -> float:
    """Return a value that should be between 0 and 1 without what rounding has added to it."""
    return 1.0 if 1.0 < value <= 1.0 + ROUNDING else value


def _images(
    images: Any,
    predictions: tuple[Prediction, ...],
    truths: tuple[int, ...],
    limits: MessageLimits,
    faults: list[str],
) -> Iterator[Image]:
    """Yield the good images, each with its place in the batch; those that the sender left out are no faults."""
    for index, image in enumerate(images):
        jpeg = image.image_bytes
        if image.left_out and not jpeg:
            continue
        jpeg, fault = checked(jpeg, max_dimension=limits.image_dimension)
        if image.left_out:
            fault = "is set though the image is left out"
        if fault:
            faults.append(f"images[{index}].image_bytes {fault}")
            continue
        prediction = predictions[index] if predictions else None
        confidence = prediction.confidence if prediction else None
        yield Image(
            index,
            jpeg,
            prediction.predicted_class if prediction else None,
            confidence if confidence is not None and is_ratio(confidence) else None,
            truths[index] if truths else None,
        )


def _epoch(request: wire.MetricsRequest, _limits: MessageLimits, _faults: list[str]) -> Epoch:
    data = request.epoch_data
    has_accuracy = data.accuracy_reported or data.average_accuracy
    return Epoch(
        data.epoch,
        None if data.loss_missing else data.average_loss,
        _ratio(data.average_accuracy) if has_accuracy else None,
        data.validation_loss if data.HasField("validation_loss") else None,
        _ratio(data.validation_accuracy) if data.HasField("validation_accuracy") else None,
        data.learning_rate if data.HasField("learning_rate") else None,
    )


def _performance(
    request: wire.MetricsRequest, _limits: MessageLimits, _faults: list[str]
) -> Performance:
    data = request.performance_data
    return Performance(
        reported(data.time_per_batch_ms / 1000),
        reported(data.total_time_for_epoch_sec),
        reported(data.estimated_time_remaining_sec),
        reported(data.current_fps),
        reported(data.average_fps),
        resources_of(data.resource_usage) if data.HasField("resource_usage") else None,
        phase_of(data.phase),
        phase_seconds_of(data.phase_seconds),
        data.batch_count if data.HasField("batch_count") else None,
        data.global_step if data.HasField("global_step") else None,
    )


def _status(
    request: wire.MetricsRequest, limits: MessageLimits, _faults: list[str]
) -> StatusChange:
    data = request.status_update
    if data.status >= len(STATUSES) or data.status < 0:
        raise InvalidDataError(f"status: {data.status} is not a TrainingStatus")
    config = config_of(data.config, limits) if data.HasField("config") else None
    status = STATUSES[data.status]
    if status.is_end:
        status = ENDINGS.get(data.ending, status)
    return StatusChange(
        status,
        data.message[: limits.text],
        config,
        phase_of(data.phase),
        phase_seconds_of(data.phase_seconds),
    )


def _heartbeat(
    _request: wire.MetricsRequest, _limits: MessageLimits, _faults: list[str]
) -> Heartbeat:
    return Heartbeat()


def _scalars(request: wire.MetricsRequest, limits: MessageLimits, _faults: list[str]) -> Scalars:
    data = request.scalar_data
    if len(data.values) > limits.scalars:
        raise InvalidDataError(
            f"values: {len(data.values)} are more than the {limits.scalars} allowed"
        )
    values = dict(data.values)
    longest = max(map(len, values), default=0)
    if longest > limits.text:
        raise InvalidDataError(
            f"values: a name of {longest} characters is longer than the {limits.text} allowed"
        )
    step = data.global_step if data.HasField("global_step") else None
    return Scalars(data.epoch, data.batch_idx, values, step, data.split[: limits.label])


def _occurrence(
    request: wire.MetricsRequest, limits: MessageLimits, _faults: list[str]
) -> Occurrence:
    data = request.event
    if not data.name:
        raise InvalidDataError("name: is empty")
    if not 0 <= data.level < len(LEVELS):
        raise InvalidDataError(f"level: {data.level} is not an Event.Level")
    return Occurrence(
        data.name[: limits.label],
        data.message[: limits.text],
        LEVELS[data.level],
        details_of(data.details, limits),
        data.epoch,
        data.batch_idx,
        data.global_step if data.HasField("global_step") else None,
    )


def _command_result(
    request: wire.MetricsRequest, limits: MessageLimits, _faults: list[str]
) -> CommandResult:
    data = request.command_result
    return CommandResult(
        data.command_id[:128], data.applied, data.message[: limits.text], data.epoch, data.batch_idx
    )


MESSAGES: dict[str, Callable[[wire.MetricsRequest, MessageLimits, list[str]], Message]] = {
    "batch_data": _batch,
    "epoch_data": _epoch,
    "performance_data": _performance,
    "status_update": _status,
    "heartbeat": _heartbeat,
    "scalar_data": _scalars,
    "command_result": _command_result,
    "event": _occurrence,
}
"""By the name of the payload: the message as it is kept; the faults of its images are added to the list."""
