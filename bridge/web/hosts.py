"""Answers only requests that name this bridge in their Host header, so that no foreign name reads its pages.

A page of another site may have its own name point at this bridge (DNS rebinding): browsers then take the
bridge's pages for that site's. A name that nobody can register in the public DNS cannot be used for that.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from bridge.errors import BridgeError

PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".svc", ".home.arpa")
"""Names below these are never found in the public DNS (RFC 6761, RFC 6762, RFC 8375, ICANN 2024; .svc: Kubernetes)."""

EVERY_HOST = "*"

HOST = re.compile(r"(\[[0-9A-Za-z:.%_-]+\]|[^\s:/?#@\\\[\]\x00-\x20\x7f-\uffff]+)(:[0-9]*)?")
"""A name or an address, the one of IPv6 in brackets, and perhaps a port."""

NO_NAME = "/"
"""For a target that has a place for a host and none in it."""


class ForeignHostError(BridgeError):
    """The client asked for a host that is not known to be this bridge."""


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The names under which a bridge answers, besides those that cannot be rebound."""

    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    """With their dot: ".example.org" stands for every name below it."""
    is_open: bool = False
    """Every name is answered."""

    @classmethod
    def of(cls, *texts: str, public_url: str = "") -> "AllowedHosts":
        """Return those of a setting: names, `*.name` for all below it, `*` for all."""
        own = urlsplit(public_url).hostname or ""
        entries = [text.lower().rstrip(".") for text in (*texts, own, socket.gethostname()) if text]
        return cls(
            frozenset(entry for entry in entries if "*" not in entry),
            tuple(entry[1:] for entry in entries if entry.startswith("*.")),
            EVERY_HOST in entries,
        )

    def allows(self, host: str) -> bool:
        """Return whether a Host header may be answered; "": there is none, so no browser has sent it."""
        return not host or (host.isascii() and (self.is_open or self.knows(host)))

    def knows(self, host: str) -> bool:
        """Return whether a Host header names this bridge, and no stranger can make it name this bridge."""
        name = _name_of(host)
        if name in self.names or name.endswith(self.suffixes):
            return True
        return bool(name) and ("." not in name or name.endswith(PRIVATE_SUFFIXES) or _is_ip(name))


ALLOWED_HOSTS = web.AppKey("allowed_hosts", AllowedHosts)


def check_host(request: web.Request) -> None:
    """Raise ForeignHostError unless a request names this bridge, in its target too where that has a host.

    The target of a request counts for more than its Host header (RFC 9112, section 3.2.2).
    """
    for host in (request.headers.get("Host", ""), _host_of_target(request.raw_path)):
        if request.app[ALLOWED_HOSTS].allows(host):
            continue
        raise ForeignHostError(
            f"this bridge does not know that it is called {_name_of(host)[:100] or 'that'}: if it is, add the"
            " name to its setting allowed_hosts (--allowed-hosts, TRAINBRIDGE_ALLOWED_HOSTS), or set public_url"
        )


def _host_of_target(target: str) -> str:
    """Return the host of a target in absolute form, "" for one that is a path."""
    scheme, separator, rest = target.partition("://")
    is_absolute = bool(separator) and scheme.isalnum()
    return (re.split(r"[/?#]", rest, maxsplit=1)[0] or NO_NAME) if is_absolute else ""


def _name_of(host: str) -> str:
    """Return the name in a Host header, "" for what is not one (RFC 3986, section 3.2.2)."""
    if not HOST.fullmatch(host):
        return ""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
