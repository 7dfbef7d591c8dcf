"""What a failed connection means, and the way out, in one sentence for people."""

import re
from collections.abc import Callable
from typing import NamedTuple

import grpc

from bridge.client.address import PORTS
from bridge.client.delivery.rejection import REJECTIONS, explain_rejection
from bridge.client.settings import Destination


class Cause(NamedTuple):
    """What gRPC says of a kind of failure, and what to say instead."""

    pattern: str
    """Found in "CODE: details"."""
    text: str | Callable[[Destination], str]


def _refused(destination: Destination) -> str:
    if _uses_proxy(destination):
        return "nothing listens where the proxy should be; correct the variable"
    if destination.is_local:
        return "nothing listens there; start a bridge with `trainbridge serve`, or give its address"
    return (
        "nothing listens there; check host and port, and that the bridge listens on more than its own"
        " machine's 127.0.0.1 (--grpc-address)"
    )


def _unreachable(destination: Destination) -> str:
    what = "the proxy" if _uses_proxy(destination) else "that host"
    return (
        f"the network has no way to {what}, or a firewall forbids it; check the address, and the network's"
        " rules (on Kubernetes its NetworkPolicies)"
    )


def _silent(destination: Destination) -> str:
    if _uses_proxy(destination):
        return "nothing answers in time; check whether the proxy works and may connect to this host and port"
    return (
        "nothing answers in time; check host and port, whether a firewall drops what is sent there, and"
        " the bridge's log: it may be frozen"
    )


def _closed(destination: Destination) -> str:
    if not destination.secure:
        return (
            "the server closes the connection at once; if it asks for TLS, put grpcs:// in front of the"
            f" address, else another program listens there: {PORTS}"
        )
    if destination.certificate is None:
        return (
            "the server closes the connection during TLS; if it asks for a client certificate, give"
            " cert_file and key_file (TRAINBRIDGE_CERT_FILE, TRAINBRIDGE_KEY_FILE)"
        )
    return (
        "the server closes the connection during TLS; have the certificate in cert_file issued by an"
        " authority that the bridge trusts (its --tls-client-ca-file)"
    )


def _untrusted(destination: Destination) -> str:
    if destination.root_certificates is None:
        return (
            "the bridge's certificate is signed by none of the authorities of this system; give the"
            " one that signed it as ca_file (TRAINBRIDGE_CA_FILE)"
        )
    return (
        "the bridge's certificate is signed by none of the authorities in ca_file; give the one that"
        " signed it (TRAINBRIDGE_CA_FILE)"
    )


CAUSES = (
    Cause(
        r"response code 407",
        "the proxy asks for a user name and a password; put them into the variable, as"
        " http://USER:PASSWORD@HOST:PORT",
    ),
    Cause(
        r"HTTP proxy returned response code (\d+)",
        r"the proxy answers \1 and does not connect; have it allow this host and port",
    ),
    Cause(
        r"http2 header with status: 404",
        "a web server or proxy answers 404; have it pass /metrics.MetricsService/ on to the bridge's gRPC port",
    ),
    Cause(
        r"http2 header with status: (\d+)",
        r"a proxy in front of the bridge answers \1; look whether the bridge behind it is running",
    ),
    Cause(
        r"http1\.x server|got frame type 80",
        f"an HTTP/1 server answers there, not gRPC; if that is the bridge's HTTP port, give the gRPC port: {PORTS}",
    ),
    Cause(
        r"Failed parsing HTTP/2",
        f"another program than a bridge answers there, and not in gRPC; check host and port: {PORTS}",
    ),
    Cause(
        r"WRONG_VERSION_NUMBER",
        "the server does not answer in TLS; put grpc:// in front of the address where the bridge has"
        f" none, and check the port: {PORTS}",
    ),
    Cause(
        r"Hostname Verification Check failed",
        "the bridge's certificate is for other names than this one; give an address that is in it, or"
        " have it issued for this one too",
    ),
    Cause(
        r"certificate has expired",
        "the bridge's certificate has expired; have it renewed (--tls-cert-file of the bridge)",
    ),
    Cause(
        r"certificate is not yet valid",
        "the bridge's certificate is not valid yet; check the clocks",
    ),
    Cause(r"CERTIFICATE_VERIFY_FAILED", _untrusted),
    Cause(
        r"errors resolving|[Nn]ame resolution|DNS (resolution|query)",
        "the name of the host is unknown here; check its spelling, and that this machine's DNS knows it",
    ),
    Cause(r"Connection refused|No such file or directory", _refused),
    Cause(
        r"No route to host|Network is unreachable|Permission denied|Host is down",
        _unreachable,
    ),
    Cause(r"^DEADLINE_EXCEEDED|[Tt]imed? ?out|Timeout", _silent),
    Cause(r"(failed to connect|handshake).*(Socket closed|Connection reset|EOF)", _closed),
    Cause(
        r"Socket closed|Connection reset|RST_STREAM|GOAWAY|[Kk]eepalive|[Pp]ing|EOF|Broken pipe",
        "the connection was cut and is made again; if that repeats, look at the bridge's log, and at the"
        " timeouts of proxies in between: they have to let idle streams live for a minute",
    ),
    Cause(
        r"^UNIMPLEMENTED",
        "a gRPC server answers that is not a bridge, or a proxy that leads to another one; check host"
        f" and port: {PORTS}",
    ),
)
"""The first that is found counts."""


def explain(code: grpc.StatusCode, details: str, destination: Destination) -> str:
    """Return what a status of gRPC means for a connection to this destination, and what to do."""
    if code in REJECTIONS:
        return f"{explain_rejection(code, details, destination)}{_proxy_note(destination)}"
    status = f"{code.name}: {details}"
    cause, found = next(
        ((cause, found) for cause in CAUSES if (found := re.search(cause.pattern, status))),
        (None, None),
    )
    if cause is None or found is None:
        text = f"{status}; if that goes on, look at the bridge's log"
    elif isinstance(cause.text, str):
        text = found.expand(cause.text) if found.re.groups else cause.text
    else:
        text = cause.text(destination)
    return f"{text}{_proxy_note(destination)}"


def _proxy_note(destination: Destination) -> str:
    proxy = destination.proxy
    if proxy is None:
        return ""
    if not proxy.is_usable:
        return f"; {proxy} is not an http:// proxy and is not used"
    return f"; this went through {proxy}: put {destination.host} into no_proxy to reach the bridge without it"


def _uses_proxy(destination: Destination) -> bool:
    return destination.proxy is not None and destination.proxy.is_usable
