"""Refuse requests that another site's page makes a browser send (cross-site request forgery)."""

from urllib.parse import urlsplit

from aiohttp import web

from bridge.web.cookies import cookie_token
from bridge.web.dependencies import deps_of
from bridge.web.errors import ForbiddenError
from bridge.web.hosts import ALLOWED_HOSTS
from bridge.web.links import public_url

OWN_SITES = ("same-origin", "none")
"""Values of Sec-Fetch-Site for requests from our own pages, and for addresses that a person typed."""


def check_origin(request: web.Request) -> None:
    """Let programs and our own pages through; raises ForbiddenError for anything else.

    Browsers say where a request comes from in Origin or Sec-Fetch-Site (Fetch Standard, Fetch Metadata);
    programs send neither, and have no cookie.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None and origin is None and not cookie_token(request):
        return
    if site is None and origin is None:
        raise ForbiddenError("a browser that is logged in has to say which page it sends this from")
    own_host = urlsplit(public_url(deps_of(request))).netloc
    is_foreign = site is not None and site not in OWN_SITES
    if is_foreign or (
        origin is not None and _host_of(origin) not in {request.host, own_host} - {""}
    ):
        raise ForbiddenError("a browser may only send commands from this bridge's own pages")
    if request.host != own_host and not request.app[ALLOWED_HOSTS].knows(request.host):
        raise ForbiddenError(
            "a browser may only send commands to the bridge's public address (--public-url)"
            " or a name that is given to it (--allowed-hosts)"
        )


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
