"""From protobuf to the frozen model, or a clear refusal."""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from bridge.errors import BridgeError, FrameLimitError, InvalidDataError
from bridge.model import (
    Batch,
    CommandResult,
    Epoch,
    Heartbeat,
    Image,
    Message,
    Performance,
    Prediction,
    Scalars,
    Status,
    StatusChange,
    Update,
    is_ratio,
    reported,
)
from bridge.receiver.jpeg import checked
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.resources import resources_of
from bridge.receiver.run_info import config_of
from bridge.session import SEQUENCE_LIMIT
from bridge.wire import metrics_pb2 as wire
from bridge.wire.framing import end_of_requests, split_frame
from bridge.wire.scan import FRAME, REQUEST, count_values, has_more, without_payload

ROUNDING = 1e-3
"""A ratio of numbers with half precision may exceed 1 by so much."""

UNREADABLE = "the message is not a readable MetricsRequest"
UNREADABLE_FRAME = "the frame is not a readable MetricsRequestBatch"

STATUSES = tuple(Status)
"""By number of the protocol's TrainingStatus."""


Result = Update | BridgeError
"""An update, or what is wrong: with a whole message, with images of the update before, or with what follows."""


def decode_request(raw: bytes, limits: MessageLimits) -> list[Result]:
    """Read one MetricsRequest; what holds too many values is not even built."""
    if has_more(raw, REQUEST, limits.values):
        return [_too_many_values(raw, limits)]
    return _decode_request(raw, limits)


def _decode_request(raw: bytes, limits: MessageLimits) -> list[Result]:
    try:
        request = wire.MetricsRequest.FromString(raw)
    except DecodeError:
        return [InvalidDataError(UNREADABLE, is_unreadable=True)]
    results: list[Result] = []
    _decode(request, len(raw), limits, results)
    return results


def decode_frame(raw: bytes, limits: MessageLimits) -> list[Result]:
    """Read the requests of one MetricsRequestBatch; a bad one among them costs only itself.

    What is above the limit is not even built.
    """
    end = end_of_requests(raw, limits.requests_per_frame)
    if end is None:
        return [InvalidDataError(UNREADABLE_FRAME, is_unreadable=True)]
    taken = raw if end == len(raw) else raw[:end]
    if not _is_usual(taken, limits) and has_more(taken, FRAME, limits.values):
        return _decode_first(taken, limits)
    results = _decode_whole(taken, limits)
    if end < len(raw):
        results.append(
            FrameLimitError(
                f"requests: more than the {limits.requests_per_frame} allowed in one frame;"
                " those above that were not taken"
            )
        )
    return results


def _is_usual(frame: bytes, limits: MessageLimits) -> bool:
    """Return whether a frame is one that clients fill, and no request in it is large enough to hold too many values.

    Counting its values would cost as much again as building them, which its size bounds.
    """
    if len(frame) <= limits.values:
        return True
    return len(frame) <= limits.uncounted_bytes and all(
        part is not None and len(part) <= limits.values for part in split_frame(frame)
    )


def _decode_whole(raw: bytes, limits: MessageLimits) -> list[Result]:
    try:
        requests = wire.MetricsRequestBatch.FromString(raw).requests
    except DecodeError:
        return _decode_one_by_one(raw, limits)
    size = len(raw) // max(1, len(requests))
    results: list[Result] = []
    for request in requests:
        _decode(request, size, limits, results)
    return results


def _decode_first(raw: bytes, limits: MessageLimits) -> list[Result]:
    """Read the first requests of a frame that holds too many values, as far as the limit allows."""
    results: list[Result] = []
    left = limits.values
    for part in split_frame(raw):
        if part is None:
            results.append(InvalidDataError(UNREADABLE_FRAME, is_unreadable=True))
            break
        count = count_values(part, REQUEST, limits.values)
        if count > limits.values:
            results.append(_too_many_values(part, limits))
            left = 0
        elif count > left:
            text = f"values: more than the {limits.values} allowed in one frame; those above that were not taken"
            results.append(FrameLimitError(text))
            break
        else:
            left -= count
            results += _decode_request(part, limits)
    return results


def _too_many_values(raw: bytes, limits: MessageLimits) -> InvalidDataError:
    """Return the refusal of a request, under the number it has if that can be read."""
    error = (
        f"values: more than the {limits.values} that one message may hold (--max-message-values)"
    )
    try:
        whose = wire.MetricsRequest.FromString(without_payload(raw))
    except DecodeError:
        return InvalidDataError(error, is_unreadable=True)
    if not 0 < whose.sequence <= SEQUENCE_LIMIT:
        return InvalidDataError(error, is_unreadable=not whose.sequence)
    return InvalidDataError(error, sequence=whose.sequence, session_id=whose.session_id)


def _decode_one_by_one(raw: bytes, limits: MessageLimits) -> list[Result]:
    results: list[Result] = []
    for part in split_frame(raw):
        if part is None:
            results.append(InvalidDataError(UNREADABLE_FRAME, is_unreadable=True))
        else:
            results += _decode_request(part, limits)
    return results


def _decode(
    request: wire.MetricsRequest, size: int, limits: MessageLimits, results: list[Result]
) -> None:
    kind = request.WhichOneof("payload")
    sequence, session_id = request.sequence, request.session_id
    if sequence > SEQUENCE_LIMIT:
        error = f"sequence: {sequence} is more than {SEQUENCE_LIMIT}"
        results.append(InvalidDataError(error, sequence=sequence))
        return
    if kind is None:
        error = "payload: none is set"
        results.append(InvalidDataError(error, sequence=sequence, session_id=session_id))
        return
    faults: list[str] = []
    try:
        message = _MESSAGES[kind](request, limits, faults)
    except InvalidDataError as error:
        text = f"{kind}.{error}"
        results.append(InvalidDataError(text, sequence=sequence, session_id=session_id))
        return
    results.append(Update(session_id, message, sequence, size))
    if faults:
        # Without its sequence: the message itself is accepted, and its Ack counts the images.
        results.append(InvalidDataError(f"{kind}.{'; '.join(faults)}"))


def _batch(request: wire.MetricsRequest, limits: MessageLimits, faults: list[str]) -> Batch:
    data = request.batch_data
    images, predictions, truths = data.images, data.predictions, data.ground_truth
    count = len(images)
    if not (count or predictions or truths):
        return Batch(
            data.epoch,
            data.batch_idx,
            None if data.loss_missing else data.batch_loss,
            duration_seconds=_duration(data),
            sample_count=data.sample_count,
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
        _duration(data),
        data.sample_count or len(classes) or count,
        request.timestamp_ms,
        len(kept) + len(faults),
    )


def _duration(data: wire.BatchData) -> float | None:
    return data.duration_ms / 1000 if data.HasField("duration_ms") else None


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
    )


def _status(
    request: wire.MetricsRequest, limits: MessageLimits, _faults: list[str]
) -> StatusChange:
    data = request.status_update
    if data.status >= len(STATUSES) or data.status < 0:
        raise InvalidDataError(f"status: {data.status} is not a TrainingStatus")
    config = config_of(data.config, limits) if data.HasField("config") else None
    return StatusChange(STATUSES[data.status], data.message[: limits.text], config)


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
    return Scalars(data.epoch, data.batch_idx, values)


def _command_result(
    request: wire.MetricsRequest, limits: MessageLimits, _faults: list[str]
) -> CommandResult:
    data = request.command_result
    return CommandResult(
        data.command_id[:128], data.applied, data.message[: limits.text], data.epoch, data.batch_idx
    )


_MESSAGES: dict[str, Callable[[wire.MetricsRequest, MessageLimits, list[str]], Message]] = {
    "batch_data": _batch,
    "epoch_data": _epoch,
    "performance_data": _performance,
    "status_update": _status,
    "heartbeat": _heartbeat,
    "scalar_data": _scalars,
    "command_result": _command_result,
}
