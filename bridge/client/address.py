"""The address of a bridge as people write it, and as gRPC takes it."""

import ipaddress
import re
from dataclasses import dataclass

DEFAULT_PORT = 50051

PORTS = "a bridge has gRPC on port 50051 and HTTP on 8080, unless it was started with others"

SCHEMES = {"grpc": False, "http": False, "grpcs": True, "https": True, "dns": None, "": None}
"""Whether the scheme of an address means TLS; None: that is decided elsewhere."""

EXAMPLE = "give host:port, such as bridge.example.org:50051, with grpcs:// in front of it for TLS"

LONGEST_URL = 2_000

LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
"""One part of a host name; underscores are in none by the standard, and in many by compose files."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a bridge is."""

    target: str
    """As gRPC takes it: host:port, or unix:PATH."""
    host: str
    """Without brackets; "" for a socket of this machine."""
    port: int
    is_secure: bool | None
    """Whether it asks for TLS, or for none; None: it leaves that open."""


def parse_address(text: str, source: str) -> Address:
    """Return the address in a text; without a port, it is the one that a bridge listens on by default.

    Takes host, host:port, and either behind grpc://, grpcs:// or dns:///; host:port behind http:// or
    https://; unix:PATH. An IPv6 address may stand in brackets, and has to in front of a port. Raises
    ValueError, which names the text and its `source`.
    """
    try:
        return _parse(text.strip())
    except ValueError as error:
        shown = re.sub(r"[^/@]*@", "...@", text)[:200]  # a password must not be shown
        raise ValueError(f"address: {shown!r} ({source}) {error}; {EXAMPLE}") from None


def web_address(text: str) -> str | None:
    """Return what a browser can be sent to; None for anything else."""
    is_usable = text.startswith(("http://", "https://")) and len(text) <= LONGEST_URL
    return text if is_usable and text.isprintable() and not re.search(r"[\s\"'<>]", text) else None


def _parse(text: str) -> Address:
    if text.startswith("unix:"):
        return _unix(text)
    scheme, separator, rest = text.rpartition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES or (separator and not scheme):
        raise ValueError(f"begins with the unknown scheme {scheme[:20]}://")
    if scheme == "dns":
        if not rest.startswith("/"):
            raise ValueError("names a server of the DNS to ask, which is not supported")
        rest = rest[1:]
    rest = rest.removesuffix("/")
    if "@" in rest:
        raise ValueError("holds a user name, which has no meaning here: use a token")
    if any(letter in rest for letter in "/?#"):
        raise ValueError("has a path, and gRPC has none")
    host, port_text = _split(rest)
    if not port_text and scheme in ("http", "https"):
        raise ValueError(f"has no port, which {scheme}:// leaves open")
    port = _port(port_text)
    host = _host(host)
    joined = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Address(joined, host, port, SCHEMES[scheme])


def _unix(text: str) -> Address:
    path = text.removeprefix("unix:")
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path or path.startswith("//") or not path.isprintable():
        raise ValueError("is not the path of a socket, such as unix:/run/bridge.sock")
    return Address(f"unix:{path}", "", 0, None)


def _split(text: str) -> tuple[str, str]:
    """Return host and port; "" for a port that is not given."""
    if _is_ipv6(text):
        return text, ""
    host, colon, port = text.rpartition(":")
    if text.startswith("[") and text.endswith("]"):
        host, colon, port = text, "", ""
    if not colon:
        return host or text, ""
    if not port:
        raise ValueError("ends with a colon and has no port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("has several colons: an IPv6 address with a port stands in brackets")
    return host, port


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) <= 65535:
        raise ValueError(f"has the port {text[:20]!r}, which is not a number from 1 to 65535")
    return int(text)


def _host(host: str) -> str:
    """Return the host, a name of other letters in the form that the DNS knows."""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ipv6(host):
            raise ValueError("has something in brackets that is not an IPv6 address")
    if _is_ipv6(host):
        return host
    if not host:
        raise ValueError("has no host")
    if any(map(str.isspace, host)):
        raise ValueError("has a space in it")
    if not host.isascii():
        host = _punycode(host)
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError("has a host that is neither a name nor an address")
    if labels[-1].isdecimal() and not _is_ipv4(host):
        raise ValueError("has a host of numbers that is not an IPv4 address")
    return host


def _punycode(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("has a host that cannot be written for the DNS") from None


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
