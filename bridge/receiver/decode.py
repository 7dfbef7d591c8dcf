"""From protobuf to the frozen model, or a clear refusal."""

from google.protobuf.message import DecodeError

from bridge.errors import BridgeError, FrameLimitError, InvalidDataError
from bridge.model import Update
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.messages import MESSAGES
from bridge.session import SEQUENCE_LIMIT
from bridge.wire import metrics_pb2 as wire
from bridge.wire.framing import end_of_requests, split_frame
from bridge.wire.scan import FRAME, REQUEST, count_values, has_more, without_payload

UNREADABLE = "the message is not a readable MetricsRequest"
UNREADABLE_FRAME = "the frame is not a readable MetricsRequestBatch"


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
        message = MESSAGES[kind](request, limits, faults)
    except InvalidDataError as error:
        text = f"{kind}.{error}"
        results.append(InvalidDataError(text, sequence=sequence, session_id=session_id))
        return
    results.append(Update(session_id, message, sequence, size))
    if faults:
        # Without its sequence: the message itself is accepted, and its Ack counts the images.
        results.append(InvalidDataError(f"{kind}.{'; '.join(faults)}"))
