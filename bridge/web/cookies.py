"""The cookie of the login page: the token itself, which any bridge can check, and which no script can read."""

import base64
import binascii
import time
from collections.abc import Iterator

from aiohttp import web

from bridge.access import Identity
from bridge.errors import PermissionDeniedError
from bridge.web.client_address import is_secure
from bridge.web.dependencies import deps_of
from bridge.web.links import root_path

NAME = "trainbridge"

LONGEST_TOKEN = 2_900
"""Characters of a token whose cookie a browser keeps: it keeps 4,096 of a whole cookie (RFC 6265, section 6.1)."""

SECONDS = 12 * 3600
"""How long a browser keeps it; the token itself may expire before that."""


def cookie_token(request: web.Request) -> str:
    """Return the token of the cookie, "" where there is none.

    Of several with its name the first one counts, which has the longest path (RFC 6265, section 5.4): those behind it may
    be of a neighbour on the same host, who would otherwise decide as whom a browser comes in.
    """
    value = next(_values(request, _name(request)), "")
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def _values(request: web.Request, name: str) -> Iterator[str]:
    """Yield the values of cookies with a name, in the order in which they were sent."""
    for header in request.headers.getall("Cookie", ()):
        for part in header.split(";"):
            found, _, value = part.strip().partition("=")
            if found == name:
                yield value


def check_length(token: str) -> None:
    """Raise PermissionDeniedError for a token that no browser would keep in a cookie."""
    if len(token) > LONGEST_TOKEN:
        raise PermissionDeniedError(
            f"this token is good, but longer than the {LONGEST_TOKEN} characters that a browser keeps: log in with one that"
            " is shorter, such as `trainbridge token new` makes"
        )


def set_cookie(
    request: web.Request, response: web.Response, token: str, identity: Identity
) -> None:
    """Have a browser show a token with all its requests from pages of this site, and with no others."""
    seconds = min(SECONDS, max(0, identity.expires_at - time.time()))
    response.set_cookie(
        _name(request),
        base64.urlsafe_b64encode(token.encode()).decode().rstrip("="),
        max_age=int(seconds),
        path=_path(request),
        secure=is_secure(request),
        httponly=True,
        samesite="Strict",
    )


def remove_cookie(request: web.Request, response: web.Response) -> None:
    """Have a browser forget the token."""
    response.del_cookie(
        _name(request),
        path=_path(request),
        secure=is_secure(request),
        httponly=True,
        samesite="Strict",
    )


def _name(request: web.Request) -> str:
    """Return the cookie's name; over TLS one that no neighbour's page may set (RFC 6265bis, cookie name prefixes)."""
    if not is_secure(request):
        return NAME
    return f"__Host-{NAME}" if _path(request) == "/" else f"__Secure-{NAME}"


def _path(request: web.Request) -> str:
    return root_path(deps_of(request)) or "/"
