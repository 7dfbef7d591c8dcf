"""Addresses, links and headers that several parts of the bridge read or write."""

import ipaddress
import re
from urllib.parse import unquote, urlencode, urlsplit

WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 -- recognized here, not bound

GO_TO_IMAGES = "go/images"
"""The path of the page that redirects to the images meant by its parameters, relative to the root."""

OTLP_PORTS = {4317: "grpc", 4318: "http/protobuf"}
"""The usual port of each protocol (OTLP specification, "Default Port")."""

HEADER_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of "host:port"; an IPv6 host stands in brackets.

    Raises ValueError for anything else.
    """
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not is_bracketed):
        raise ValueError("which is not host:port")
    host = host[1:-1] if is_bracketed else host
    if is_bracketed:
        ipaddress.IPv6Address(host)
    if not host or any(letter.isspace() or letter in "/@?#" for letter in host):
        raise ValueError("which is not host:port")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """Return "host:port", the opposite of `split_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def share_port(one: str, other: str) -> bool:
    """Return whether two servers cannot listen at these addresses together; port 0 is another each time."""
    (host, port), (other_host, other_port) = split_address(one), split_address(other)
    is_same = host == other_host or not {host, other_host}.isdisjoint(WILDCARDS)
    return bool(port) and port == other_port and is_same


def url_of(address: str, *, is_secure: bool = False) -> str:
    """Return the URL at which a browser on this machine finds a bound address."""
    host, port = split_address(address)
    scheme = "https" if is_secure else "http"
    return f"{scheme}://{join_address('localhost' if host in WILDCARDS else host, port)}"


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach an address."""
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_protected(url: str) -> bool:
    """Return whether nobody between here and an http(s) URL can change what is read there."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts.scheme == "https" or is_loopback(f"{host}:{parts.port or 80}")


def check_url(text: str, *, has_path: bool = True) -> str:
    """Return an http(s) URL without trailing slash.

    Raises ValueError for anything else, and for one that holds a user name or password.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https"):
        raise ValueError("which does not begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("which holds a user name or password, and would be shown")
    if not parts.hostname or any(letter.isspace() for letter in text):
        raise ValueError("which has no host")
    if parts.port == 0 or parts.query or parts.fragment:
        raise ValueError("which has more than host, port and path")
    if not has_path and parts.path.strip("/"):
        raise ValueError("which has a path")
    return text.rstrip("/")


def otlp_port_hint(url: str, protocol: str) -> str:
    """Return what to change where a URL has the usual port of the other protocol, else ""."""
    port = urlsplit(url).port
    usual = OTLP_PORTS.get(port or 0, protocol)
    if usual == protocol:
        return ""
    return f"port {port} is usually {usual}: set otlp_protocol (--otlp-protocol {usual})"


def images_link(session_id: str, **selection: object) -> str:
    """Return the link to the images that a selection means, relative to the root (docs/http-api.md)."""
    return f"{GO_TO_IMAGES}?{urlencode({'session': session_id, **selection})}"


def split_headers(text: str) -> dict[str, str]:
    """Return the headers of "name=value,name=value", by lower-case name; values are percent-encoded.

    Raises ValueError for anything else.
    """
    headers = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not HEADER_NAME.fullmatch(name):
            raise ValueError("which is not name=value,name=value")
        headers[name.lower()] = unquote(value)
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise ValueError("which has a value that no header can carry")
    return headers
