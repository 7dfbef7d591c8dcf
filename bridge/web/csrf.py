"""Refuse what a page of somebody else makes a browser send."""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from bridge.web.dependencies import deps_of
from bridge.web.errors import RefusedError
from bridge.web.links import public_url

OWN = ("same-origin", "none")
"""What Sec-Fetch-Site says of requests from our own pages, and of those a person typed."""


def check_origin(request: web.Request) -> None:
    """Let through programs and our own pages; raises RefusedError for anything else.

    Browsers say where a request comes from in Origin or Sec-Fetch-Site (Fetch Standard, Fetch Metadata);
    programs send neither.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None and origin is None:
        return
    own = urlsplit(public_url(deps_of(request))).netloc
    if site is not None and site not in OWN:
        raise RefusedError("commands are taken from this bridge's own pages only")
    if origin is not None and _netloc(origin) not in {request.host, own} - {""}:
        raise RefusedError("commands are taken from this bridge's own pages only")
    if request.host != own and not _is_fixed(request.host):
        raise RefusedError(
            "commands from a browser are taken at the bridge's public address only (--public-url)"
        )


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _is_fixed(host: str) -> bool:
    """Tell whether a host cannot be pointed at this machine by a name server of somebody else."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost":
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
