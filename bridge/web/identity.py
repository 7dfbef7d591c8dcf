"""Who makes a request, as the route that serves it has found out."""

from dataclasses import dataclass

from aiohttp import web

from bridge.access import ANYONE, Identity, Role
from bridge.web.client_address import client_address

IDENTITY = web.RequestKey("identity", Identity)

IS_LOGGED_IN = web.RequestKey("is_logged_in", bool)
"""Whether the credentials came in the cookie of the login page."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """What a page shows of whoever looks at it."""

    name: str = ""
    """"": anybody, or nobody who is known."""
    may_control: bool = True
    may_scrape: bool = True
    is_logged_in: bool = False
    is_known: bool = True
    """False: the page is for somebody who has to log in first."""


LOGGED_OUT = Viewer(may_control=False, may_scrape=False, is_known=False)


def identity_of(request: web.Request) -> Identity:
    """Return who makes a request; anybody, on routes that are open to all."""
    identity: Identity = request.get(IDENTITY, ANYONE)
    return identity


def sender_of(request: web.Request, what: str) -> str:
    """Return who has sent something, for histories: such as "person alice at 10.0.0.7", or "program ci (alice@laptop)".

    `what` says what it was, and perhaps the name that it gives itself, which counts for less than that of its token.
    """
    identity, address = identity_of(request), client_address(request)
    kind, _, claimed = what.partition(" ")
    names = [identity.name or claimed, f"({claimed})" if identity.name and claimed else ""]
    return " ".join(filter(None, (kind, *names, f"at {address}" if address else "")))


def viewer_of(request: web.Request) -> Viewer:
    """Return who looks at a page."""
    identity = identity_of(request)
    return Viewer(
        identity.name,
        identity.may(Role.CONTROL),
        identity.may(Role.METRICS),
        IS_LOGGED_IN in request and request[IS_LOGGED_IN],
    )
