"""What each error of ours is to a client: one table for streams and registrations."""

from dataclasses import dataclass

import grpc

from bridge.errors import (
    BridgeError,
    ForeignSessionError,
    FrameLimitError,
    InvalidDataError,
    LimitError,
    OverloadedError,
    PermissionDeniedError,
    SequenceGapError,
    StorageError,
    UnauthenticatedError,
    UnknownSessionError,
)
from bridge.wire import metrics_pb2 as wire


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """How a client learns of an error."""

    code: wire.ErrorResponse.ErrorCode.ValueType
    """In the ErrorResponse of a stream."""
    status: grpc.StatusCode | None = None
    """Of a registration; None: the SessionResponse says why there was no success."""
    text: str = ""
    """Instead of the error's own, which may say too much."""


ERROR_ANSWERS: dict[type[Exception], ErrorAnswer] = {
    InvalidDataError: ErrorAnswer(wire.ErrorResponse.INVALID_DATA),
    UnknownSessionError: ErrorAnswer(wire.ErrorResponse.INVALID_SESSION),
    ForeignSessionError: ErrorAnswer(wire.ErrorResponse.INVALID_SESSION),
    OverloadedError: ErrorAnswer(wire.ErrorResponse.BUFFER_FULL),
    FrameLimitError: ErrorAnswer(wire.ErrorResponse.BUFFER_FULL),
    SequenceGapError: ErrorAnswer(wire.ErrorResponse.BUFFER_FULL),
    LimitError: ErrorAnswer(wire.ErrorResponse.INTERNAL_ERROR, grpc.StatusCode.RESOURCE_EXHAUSTED),
    UnauthenticatedError: ErrorAnswer(
        wire.ErrorResponse.INVALID_SESSION, grpc.StatusCode.UNAUTHENTICATED
    ),
    PermissionDeniedError: ErrorAnswer(
        wire.ErrorResponse.INVALID_SESSION, grpc.StatusCode.PERMISSION_DENIED
    ),
    StorageError: ErrorAnswer(
        wire.ErrorResponse.INTERNAL_ERROR,
        grpc.StatusCode.UNAVAILABLE,
        "a store does not respond; try again soon",
    ),
    BridgeError: ErrorAnswer(wire.ErrorResponse.INTERNAL_ERROR),
    Exception: ErrorAnswer(
        wire.ErrorResponse.INTERNAL_ERROR, grpc.StatusCode.INTERNAL, "internal error"
    ),
}


def answer_to(error: Exception) -> ErrorAnswer:
    """Return how a client learns of an error: the entry of its class, or of the nearest one above."""
    return next(ERROR_ANSWERS[kind] for kind in type(error).__mro__ if kind in ERROR_ANSWERS)
