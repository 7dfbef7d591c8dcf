"""What errors of a gRPC call mean, and what to do about each."""

import re

import grpc

from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.otlp.errors import CauseAndWayOut, closed_way_out, quoted

HTTP = "if it is an endpoint for HTTP, set otlp_protocol (--otlp-protocol http/protobuf)"

CHECK = "check host and port of otlp_endpoint"

DETAILS: tuple[tuple[str, str, str], ...] = (
    (
        r"Connection refused",
        "nothing listens there",
        "start the collector, or correct otlp_endpoint",
    ),
    (
        r"DNS resolution failed|Domain name not found|Could not resolve|name resolution",
        "its host name is unknown",
        "correct it in otlp_endpoint",
    ),
    (
        r"http1|HTTP/1|Failed parsing HTTP/2|expected SETTINGS frame|Expected SETTINGS",
        "it does not speak gRPC",
        HTTP,
    ),
    (
        r"WRONG_VERSION_NUMBER|Invalid .*record|UNKNOWN_PROTOCOL",
        "it does not speak TLS",
        "write http:// instead of https:// in otlp_endpoint",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|Peer name|[Hh]ostname",
        "its certificate is not trusted",
        "set otlp_ca_file to the authority that signed it, or use the host name that it was issued for",
    ),
    (
        r"[Hh]andshake|CERTIFICATE_REQUIRED|TLS|SSL|tsi",
        "the TLS handshake failed",
        "check otlp_ca_file, otlp_client_cert_file and otlp_client_key_file, and the endpoint's TLS settings",
    ),
    (
        r"HTTP proxy returned|proxy",
        "the proxy does not let it pass",
        "check whether the proxy allows CONNECT to this host and port",
    ),
)
"""Patterns of what gRPC says, with cause and way out; the first that matches."""

CLOSED = re.compile(
    r"Socket closed|Connection reset|GOAWAY|connection closed|Endpoint closing|recvmsg"
)

CODES: dict[grpc.StatusCode, CauseAndWayOut] = {
    grpc.StatusCode.UNAUTHENTICATED: (
        "it refuses the credentials",
        "set otlp_headers to the credentials that it asks for",
    ),
    grpc.StatusCode.PERMISSION_DENIED: (
        "it does not allow this",
        "set otlp_headers to credentials that may write spans",
    ),
    grpc.StatusCode.UNIMPLEMENTED: ("it has no service for spans", f"{CHECK}; {HTTP}"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        "it is overloaded",
        "the spans wait, and are sent again later",
    ),
    grpc.StatusCode.INVALID_ARGUMENT: (
        "it does not accept these spans",
        "they are sent again in smaller groups",
    ),
}


REFUSALS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)
"""Codes for which the spans themselves may be the reason."""

TOO_LARGE = "larger than max"
"""What a server of gRPC says about a message above its limit, with the code of an overload."""


def is_refusal(code: grpc.StatusCode, details: str) -> bool:
    """Return whether the spans themselves may be the reason."""
    return code in REFUSALS or _is_too_large(code, details)


def _is_too_large(code: grpc.StatusCode, details: str) -> bool:
    return code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in details


def cause_of(
    code: grpc.StatusCode, details: str, endpoint: Endpoint, *, is_proxied: bool
) -> CauseAndWayOut:
    """Return the cause and the way out of a call that failed."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return (
            f"no answer within {endpoint.timeout_seconds:g} s",
            f"{CHECK}, and whether the collector is overloaded; {HTTP}",
        )
    if _is_too_large(code, details):
        way_out = "raise the endpoint's limit for the size of a message"
        return f"the request is too large for it{quoted(details)}", way_out
    if code in CODES:
        cause, way_out = CODES[code]
        return f"{cause}{quoted(details)}", way_out
    if is_proxied and "Connection refused" in details:
        return "the proxy cannot be reached (Connection refused)", "start that proxy"
    cause, way_out = _by_details(code, details, endpoint)
    return f"{cause}{quoted(details)}", way_out


def _by_details(code: grpc.StatusCode, details: str, endpoint: Endpoint) -> CauseAndWayOut:
    for pattern, cause, way_out in DETAILS:
        if re.search(pattern, details):
            return cause, way_out
    if CLOSED.search(details):
        return "it closes the connection without an answer", closed_way_out(endpoint)
    return f"it answers {code.name}", f"{CHECK}; look into the log of the endpoint"
