"""Which HTTP proxy the environment names for a host, and which hosts are reached without one."""

import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

GRPC_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables that gRPC reads, the first that is set; TLS or not, its connections are tunnelled."""

HTTP_VARIABLES = ("http_proxy",)
HTTPS_VARIABLES = ("https_proxy",)


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, and the variable that names it."""

    variable: str
    url: str = field(repr=False)
    """As a library takes it: with a scheme, and with its credentials if it has any."""

    @property
    def is_usable(self) -> bool:
        """Whether it is an HTTP proxy: not one of SOCKS, and not one that is itself spoken to over TLS."""
        try:
            parts = urlsplit(self.url)
            return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that cannot be one
            return False

    @property
    def shown(self) -> str:
        """Its address without credentials, for people."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    def __str__(self) -> str:
        """Return "the proxy ADDRESS of VARIABLE"."""
        return f"the proxy {self.shown} of {self.variable}"


def proxy_for(
    host: str,
    port: int = 0,
    *,
    variables: Sequence[str],
    environment: Mapping[str, str] = os.environ,
) -> Proxy | None:
    """Return the proxy that the first of `variables` names for a host; None: it is reached directly.

    Each variable is read in lower case, then in upper case. The machine itself is always reached
    directly, and so is what no_proxy names: domains with what is below them, addresses, networks
    (10.0.0.0/8), any of them with a port, or * for all.
    """
    if is_loopback_host(host) or _is_exempt(host, port, environment):
        return None
    for variable in variables:
        name, value = _read(variable, environment)
        if value:
            return Proxy(name, value if "://" in value else f"http://{value}")
    return None


def is_loopback_host(host: str) -> bool:
    """Return whether a host name or address means this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _read(variable: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the name under which a variable is set, and its value; "" where it is not set."""
    for name in (variable, variable.upper()):
        if value := environment.get(name, "").strip():
            return name, value
    return variable, ""


def _is_exempt(host: str, port: int, environment: Mapping[str, str]) -> bool:
    name = host.strip("[]").rstrip(".").lower()
    entries = _read("no_proxy", environment)[1].lower().split(",")
    return any(_matches(entry.strip(), name, port) for entry in entries)


def _matches(entry: str, name: str, port: int) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    address = _address(name)
    if "/" in entry:
        network = _network(entry)
        return address is not None and network is not None and address in network
    before, colon, number = entry.rpartition(":")
    if colon and number.isdecimal() and (":" not in before or before.endswith("]")):
        if port and int(number) != port:
            return False
        entry = before
    entry = entry.strip("[]").removeprefix("*").lstrip(".")
    if address is not None:
        return _address(entry) == address
    return name == entry or name.endswith(f".{entry}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
