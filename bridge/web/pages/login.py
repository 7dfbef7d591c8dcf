"""The page that takes a token and gives a cookie for it, and the form that takes that back."""

import re

from aiohttp import web

from bridge.access import Credentials, Role
from bridge.access.identity import check_role
from bridge.errors import PermissionDeniedError, UnauthenticatedError
from bridge.web.client_address import client_address
from bridge.web.cookies import check_length, cookie_token, remove_cookie, set_cookie
from bridge.web.dependencies import deps_of
from bridge.web.identity import LOGGED_OUT
from bridge.web.links import LOGIN
from bridge.web.pages.form_fields import form_fields
from bridge.web.templating import html_response, render, root_of

NEXT = re.compile(r"[A-Za-z0-9][!-~]{0,1999}")
"""An address below the root of the bridge, from which no other site can be reached."""

FRAMES = ("iframe", "frame", "object", "embed")
"""Values of Sec-Fetch-Dest for a page inside of another one, where no cookie of this bridge may reach it."""


async def login_page(request: web.Request) -> web.Response:
    """Return the form for a token; who comes from another site's link is sent on once more first, now with the cookie.

    Browsers keep a cookie that is SameSite=Strict back from what another site's page leads to, and show it with what
    a page of this bridge leads to.
    """
    following = _following(request.query.get("next", ""))
    if not deps_of(request).authentication.is_required:
        return _redirect(f"{root_of(request)}{following}")
    is_framed = request.headers.get("Sec-Fetch-Dest") in FRAMES
    is_foreign = request.headers.get("Sec-Fetch-Site") == "cross-site"
    if is_framed or (is_foreign and not cookie_token(request)):
        contents = {"following": following, "is_framed": is_framed}
        return html_response(render("again.html", root_of(request), LOGGED_OUT, **contents))
    return _form(request, following)


async def post_login(request: web.Request) -> web.Response:
    """Check a token, and go where the browser wanted to go."""
    fields = await form_fields(request)
    token, following = fields.get("token", "").strip(), _following(fields.get("next", ""))
    authentication = deps_of(request).authentication
    try:
        identity = await authentication.identify(Credentials(token))
        check_role(identity, Role.VIEW, "do this")
        check_length(token)
    except (UnauthenticatedError, PermissionDeniedError) as error:
        deps_of(request).telemetry.http_refused("login", address=client_address(request))
        status = 401 if isinstance(error, UnauthenticatedError) else 403
        problem = str(error) if token else "paste a token first"
        return _form(request, following, problem, status)
    response = _redirect(f"{root_of(request)}{following}")
    set_cookie(request, response, token, identity)
    return response


async def post_logout(request: web.Request) -> web.Response:
    """Have the browser forget the token."""
    response = _redirect(f"{root_of(request)}{LOGIN}")
    response.headers["Clear-Site-Data"] = '"cache"'
    remove_cookie(request, response)
    return response


def _form(
    request: web.Request, following: str, problem: str = "", status: int = 200
) -> web.Response:
    text = render("login.html", root_of(request), LOGGED_OUT, following=following, problem=problem)
    return html_response(text, status=status)


def _following(text: str) -> str:
    """Return a page of this bridge, relative to its root; "", the first one, for anything else."""
    is_usable = NEXT.fullmatch(text) and not text.partition("?")[0].startswith(LOGIN)
    return text if is_usable and ":" not in text.partition("/")[0] else ""


def _redirect(location: str) -> web.Response:
    return web.Response(status=303, headers={"Location": location, "Cache-Control": "no-store"})
