"""Why there is no connection, and whether a bridge said so."""

import logging
from dataclasses import dataclass

import grpc

from bridge.client.delivery.diagnosis import explain
from bridge.client.encoding.encoder import text
from bridge.client.settings import Destination

log = logging.getLogger("trainbridge")

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
    """For people."""
    is_refusal: bool
    """A bridge has answered, and rejected the session."""


class RegistrationRefusedError(Exception):
    """The bridge does not accept this session, for now."""


class StreamBrokenError(Exception):
    """The stream has to be opened again."""


def failure_from(error: Exception, destination: Destination) -> ConnectionFailure:
    """Return what an attempt to connect there, or a stream, has failed of."""
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        code, details = error.code(), error.details() or ""
        log.debug("gRPC says %s: %s", code.name, details)
        reason = explain(code, details, destination)
        return ConnectionFailure(text(reason), is_refusal=code in REFUSALS)
    if isinstance(error, (grpc.RpcError, RegistrationRefusedError, StreamBrokenError)):
        is_refusal = isinstance(error, RegistrationRefusedError)
        return ConnectionFailure(text(error), is_refusal=is_refusal)
    return ConnectionFailure(text(f"{type(error).__name__}: {error}"), is_refusal=False)
