"""Why there is no connection, and whether a bridge said so."""

from dataclasses import dataclass

import grpc

REFUSALS = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
}
"""Trying again does not help."""


@dataclass(frozen=True, slots=True)
class ConnectionFailure:
    """Why there is no connection."""

    reason: str
    is_refusal: bool
    """A bridge has answered, and said no."""


class RegistrationRefusedError(Exception):
    """The bridge does not take this session, for now."""


class StreamBrokenError(Exception):
    """The stream has to be opened again."""


def is_refusal(error: Exception) -> bool:
    """Return whether a bridge has answered, and said no."""
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        return error.code() in REFUSALS
    return isinstance(error, RegistrationRefusedError)


def reason_of(error: Exception) -> str:
    """Return what a person can do something with."""
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        return f"{error.code().name}: {error.details()}"
    return str(error)
