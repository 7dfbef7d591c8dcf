"""What errors of an HTTP connection mean, and what to do about each."""

import errno
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp

from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.otlp.errors import CauseAndWayOut, closed_way_out

FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What a request may raise; aiohttp raises ValueError for a URL or a header that cannot be sent."""

REFUSALS = (400, 413, 415, 422, 500)
"""Statuses for which the spans themselves may be the reason."""

NO_ANSWER = "check host and port of otlp_endpoint, and whether the collector is overloaded"
WRONG_PROTOCOL = (
    "check host and port of otlp_endpoint; if it is an endpoint for gRPC, set otlp_protocol"
    " (--otlp-protocol grpc)"
)

NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE")
"""What OpenSSL says about a server that answers in plain text."""

WAYS_OUT = {
    400: "the spans in this request are not accepted; they are sent again in smaller groups",
    401: "set otlp_headers to the credentials that it asks for",
    403: "set otlp_headers to credentials that may write spans",
    404: "check the path of otlp_endpoint, or set otlp_traces_endpoint to the full URL for spans",
    405: "check the path of otlp_endpoint, or set otlp_traces_endpoint to the full URL for spans",
    407: "set the credentials of the proxy, as in http://user:password@proxy:3128",
    413: "raise the endpoint's limit for the size of a request",
    415: "it accepts no protobuf; set otlp_protocol (--otlp-protocol grpc), or another endpoint",
    429: "it is overloaded; the spans wait, and are sent again later",
    503: "it is overloaded or starting; the spans wait, and are sent again later",
}


def cause_of(error: BaseException, endpoint: Endpoint) -> CauseAndWayOut:
    """Return the cause and the way out of an error that a request has raised."""
    explain = next(explain for kind, explain in EXPLANATIONS if isinstance(error, kind))
    return explain(error, endpoint)


def way_out_of(status: int, location: str, *, is_proxied: bool) -> str:
    """Return what to do about a status other than 200."""
    if 300 <= status < 400:
        target = location.partition("?")[0] or "another address"
        return f"it redirects to {target}; if that is right, set otlp_traces_endpoint to it"
    if status == 502 and is_proxied:
        return "the proxy does not reach it"
    if status >= 500:
        return WAYS_OUT.get(status, "look into the log of the endpoint")
    return WAYS_OUT.get(status, WRONG_PROTOCOL)


def _timeout(_error: Any, endpoint: Endpoint) -> CauseAndWayOut:
    return f"no answer within {endpoint.timeout_seconds:g} s", NO_ANSWER


def _proxy_answers(error: aiohttp.ClientHttpProxyError, _endpoint: Endpoint) -> CauseAndWayOut:
    other = "check whether the proxy lets this host and port pass"
    return f"the proxy answers {error.status}", WAYS_OUT[407] if error.status == 407 else other


def _proxy_is_away(
    error: aiohttp.ClientProxyConnectionError, _endpoint: Endpoint
) -> CauseAndWayOut:
    return f"the proxy cannot be reached ({_reason(error.os_error)})", "start that proxy"


def _name_is_unknown(_error: Any, endpoint: Endpoint) -> CauseAndWayOut:
    return f"the host name {endpoint.host} is unknown", "correct it in otlp_endpoint"


def _certificate(error: Any, _endpoint: Endpoint) -> CauseAndWayOut:
    inner = getattr(error, "certificate_error", error)
    reason = getattr(inner, "verify_message", "") or str(inner)
    return (
        f"its certificate is not trusted ({reason})",
        "set otlp_ca_file to the authority that signed it, or use the host name that it was issued for",
    )


def _connector(error: aiohttp.ClientConnectorError, endpoint: Endpoint) -> CauseAndWayOut:
    return cause_of(error.os_error, endpoint)


def _tls(error: ssl.SSLError, _endpoint: Endpoint) -> CauseAndWayOut:
    if error.reason in NO_TLS:
        return "it does not speak TLS", "write http:// instead of https:// in otlp_endpoint"
    return (
        f"the TLS handshake failed ({error.reason or error})",
        "check otlp_client_cert_file and otlp_client_key_file, and the endpoint's TLS settings",
    )


def _disconnected(_error: Any, endpoint: Endpoint) -> CauseAndWayOut:
    return "it closes the connection without an answer", closed_way_out(endpoint)


def _reset(_error: Any, endpoint: Endpoint) -> CauseAndWayOut:
    return "it resets the connection", closed_way_out(endpoint)


def _not_http(_error: Any, _endpoint: Endpoint) -> CauseAndWayOut:
    return "what it answers is not HTTP", WRONG_PROTOCOL


def _refused(_error: Any, _endpoint: Endpoint) -> CauseAndWayOut:
    return "nothing listens there", "start the collector, or correct otlp_endpoint"


def _network(error: OSError, endpoint: Endpoint) -> CauseAndWayOut:
    if error.errno in (errno.ECONNRESET, errno.EPIPE):
        return _reset(error, endpoint)
    return f"no connection ({_reason(error)})", "check host and port of otlp_endpoint"


def _unsendable(error: Any, _endpoint: Endpoint) -> CauseAndWayOut:
    return f"the request cannot be sent ({error})", "correct otlp_endpoint and otlp_headers"


def _other(error: Any, _endpoint: Endpoint) -> CauseAndWayOut:
    return f"the request failed ({type(error).__name__}: {error})", NO_ANSWER


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


EXPLANATIONS: tuple[tuple[type[BaseException], Callable[[Any, Endpoint], CauseAndWayOut]], ...] = (
    (TimeoutError, _timeout),
    (aiohttp.ClientHttpProxyError, _proxy_answers),
    (aiohttp.ClientProxyConnectionError, _proxy_is_away),
    (aiohttp.ClientConnectorDNSError, _name_is_unknown),
    (aiohttp.ClientConnectorCertificateError, _certificate),
    (aiohttp.ClientConnectorError, _connector),
    (aiohttp.ServerDisconnectedError, _disconnected),
    (aiohttp.ClientResponseError, _not_http),
    (aiohttp.ClientPayloadError, _not_http),
    (ssl.SSLCertVerificationError, _certificate),
    (ssl.SSLError, _tls),
    (ConnectionRefusedError, _refused),
    (ConnectionResetError, _reset),
    (OSError, _network),
    (ValueError, _unsendable),
    (BaseException, _other),
)
"""What explains each error; the first whose type fits, so that special ones come before general ones."""
