"""Why there is no connection, and whether a bridge said so."""

import logging
from dataclasses import dataclass

import grpc

from bridge.client.delivery.diagnosis import explain
from bridge.client.delivery.rejection import REJECTIONS
from bridge.client.encoding.encoder import text
from bridge.client.settings import Destination

log = logging.getLogger("trainbridge")

REFUSALS = REJECTIONS | {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}
"""Trying again does not help."""


@dataclass(frozen=True, slots=True)
class ConnectionFailure:
    """Why there is no connection."""

    reason: str
    """For people."""
    is_refusal: bool
    """A bridge has answered, and rejected the session."""
    retry_after_seconds: float = 0.0
    """When the bridge may let the session in, as another process holds its name until then; 0: not reported."""
    is_rejection: bool = False
    """It is about who this client is: another token may be let in."""
    is_token_unknown: bool = False
    """The bridge takes the token for nobody's, so it would let no other session in either."""

    @property
    def last_word(self) -> str:
        """Return why a bridge has let nothing in, for the end of a session; "" where none has answered so."""
        if self.is_rejection:
            return "the bridge does not let this process in, see above"
        return self.reason if self.is_refusal else ""

    @property
    def kind(self) -> str:
        """Return what is the same for failures of which one is worth a line: a bridge has several words for a token."""
        return f"rejected {self.is_token_unknown}" if self.is_rejection else self.reason


class RegistrationRefusedError(Exception):
    """The bridge does not accept this session, for now."""

    def __init__(self, message: str, *, retry_after_seconds: float = 0.0) -> None:
        """Refuse for a reason that a person can read, and maybe for a time."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StreamBrokenError(Exception):
    """The stream has to be opened again."""


def failure_from(error: Exception, destination: Destination) -> ConnectionFailure:
    """Return what an attempt to connect there, or a stream, has failed of."""
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        code, details = error.code(), destination.token.hide_in(error.details() or "")
        log.debug("gRPC says %s: %s", code.name, details)
        return ConnectionFailure(
            text(explain(code, details, destination)),
            is_refusal=code in REFUSALS,
            is_rejection=code in REJECTIONS,
            is_token_unknown=code is grpc.StatusCode.UNAUTHENTICATED,
        )
    if isinstance(error, RegistrationRefusedError):
        return ConnectionFailure(text(error), True, error.retry_after_seconds)
    if isinstance(error, (grpc.RpcError, StreamBrokenError)):
        return ConnectionFailure(text(error), is_refusal=False)
    return ConnectionFailure(text(f"{type(error).__name__}: {error}"), is_refusal=False)
