"""Why a bridge could not be queried over HTTP, and the way out, in one sentence for people."""

import socket
import ssl
from collections.abc import Callable
from http.client import BadStatusLine, IncompleteRead
from urllib.parse import SplitResult, urlsplit

from bridge.client.address import PORTS
from bridge.proxies import Proxy, is_loopback_host

OTHER_NAMES = (62, 64)
"""What OpenSSL says where a certificate has another host name, or another address (X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH)."""

EXAMPLE = "give one such as http://127.0.0.1:8080"


def checked_url(url: object) -> SplitResult:
    """Return the parts of a URL at which a bridge may be. Raises ValueError, which shows no password."""
    if not isinstance(url, str):
        raise ValueError(f"a {type(url).__name__} is not a URL; {EXAMPLE}")
    text = url.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(
            f"{text[:200]!r} is not a URL: its host or port is invalid; {EXAMPLE}"
        ) from None
    if "@" in parts.netloc:
        raise ValueError(
            f"the URL of a bridge holds a user name, which is not supported; {EXAMPLE}"
        )
    shown = repr(text[:200])
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{shown} is not a URL of a bridge; {EXAMPLE}")
    if port == 0 or parts.query or parts.fragment or not _is_plain(text):
        raise ValueError(
            f"{shown} has more than scheme, host, port and path, or odd letters; {EXAMPLE}"
        )
    return parts


def explain(error: Exception, url: str, proxy: Proxy | None) -> str:
    """Return what has failed between here and the bridge at a URL, and what to do about it."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, Exception):
        error = reason
    if proxy is None:
        return _cause(error, urlsplit(url), None)
    if not proxy.is_usable:
        note = f"{proxy} is not an http:// proxy and is not used"
        return f"{_cause(error, urlsplit(url), None)}; {note}"
    note = f"this went through {proxy}: put the host into no_proxy to reach it directly"
    return f"{_cause(error, urlsplit(url), proxy)}; {note}"


def _cause(error: Exception, parts: SplitResult, proxy: Proxy | None) -> str:
    for kind, cause in CAUSES:
        if isinstance(error, kind):
            return cause(error, parts, proxy)
    text = str(error).strip()
    if "Tunnel connection failed" in text:
        return f"the proxy does not connect ({text}); have it allow this host and port"
    return text if text and text.isprintable() else type(error).__name__


def _unknown(_: Exception, parts: SplitResult, proxy: Proxy | None) -> str:
    what = "the host of the proxy" if proxy else f"the host {parts.hostname}"
    return f"{what} is unknown here; check its spelling, and this machine's DNS"


def _silent(_: Exception, _parts: SplitResult, _proxy: Proxy | None) -> str:
    return (
        "nothing answers in time (timed out); check host and port, whether a firewall drops what is sent"
        f" there, and the bridge's log: {PORTS}"
    )


def _untrusted(error: Exception, _parts: SplitResult, _proxy: Proxy | None) -> str:
    reason = getattr(error, "verify_message", "")
    if getattr(error, "verify_code", 0) in OTHER_NAMES:
        return (
            f"its certificate was not issued for this host ({reason.rstrip('.')}); use a name that it was issued for, or have it"
            " issued for this one, too"
        )
    return (
        f"its certificate is not trusted here ({reason}); name the file of the authority that signed it as ca_file"
        " (--ca-file, TRAINBRIDGE_CA_FILE)"
    )


def _not_tls(_: Exception, _parts: SplitResult, _proxy: Proxy | None) -> str:
    return f"it does not answer in TLS; use http:// where the bridge has none, and check the port: {PORTS}"


def _closed(_: Exception, parts: SplitResult, _proxy: Proxy | None) -> str:
    tls = "it may ask for TLS: try https://; else " if parts.scheme == "http" else ""
    return f"the connection was closed without an answer; {tls}check host and port: {PORTS}"


def _not_http(_: Exception, _parts: SplitResult, _proxy: Proxy | None) -> str:
    return f"what answers there is not HTTP; if it is the bridge's gRPC port, give the HTTP port: {PORTS}"


def _broken_off(_: Exception, _parts: SplitResult, _proxy: Proxy | None) -> str:
    return "the answer broke off; try again, and look whether a proxy between limits answers"


def _refused(_: Exception, parts: SplitResult, proxy: Proxy | None) -> str:
    if proxy:
        return (
            "nothing listens where the proxy should be (connection refused); correct the variable"
        )
    if is_loopback_host(parts.hostname or ""):
        return (
            "nothing listens there (connection refused); start a bridge with `trainbridge serve`, or give"
            f" another URL: {PORTS}"
        )
    return (
        "nothing listens there (connection refused); check host and port, and that the bridge listens on"
        f" more than its own machine's 127.0.0.1 (--http-address): {PORTS}"
    )


CAUSES: tuple[
    tuple[type[Exception], Callable[[Exception, SplitResult, Proxy | None], str]], ...
] = (
    (socket.gaierror, _unknown),
    (TimeoutError, _silent),
    (ssl.SSLCertVerificationError, _untrusted),
    (ssl.SSLError, _not_tls),
    (ConnectionResetError, _closed),  # a RemoteDisconnected is one
    (BadStatusLine, _not_http),
    (IncompleteRead, _broken_off),
    (ConnectionRefusedError, _refused),
)
"""The first that fits counts."""


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
