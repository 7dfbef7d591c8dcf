"""Lets a request through to the endpoint of a route: who makes it is known, may do this, and sees what is theirs."""

from urllib.parse import quote

from aiohttp import web

from bridge.access import Credentials, Identity, Role
from bridge.access.credentials import token_of
from bridge.access.identity import check_role
from bridge.errors import PermissionDeniedError, UnauthenticatedError
from bridge.web.client_address import client_address
from bridge.web.client_certificate import certificate_names
from bridge.web.cookies import cookie_token
from bridge.web.csrf import check_origin
from bridge.web.dependencies import DEPENDENCIES, OWN_DEPENDENCIES
from bridge.web.errors import Endpoint
from bridge.web.identity import IDENTITY, IS_LOGGED_IN
from bridge.web.links import LOGIN, local_path
from bridge.web.peers.receiving import check_body, ticket_of
from bridge.web.templating import root_of
from bridge.web.tenants import deps_for

SAFE_METHODS = ("GET", "HEAD")

INTERNAL = "bridges that share a database ask for this, and nobody else"


def admitting(role: Role | None, endpoint: Endpoint, *, is_internal: bool = False) -> Endpoint:
    """Return an endpoint that serves only who has a role; None: anybody at all.

    `is_internal`: it serves bridges that share the database alone.
    """

    async def serve(request: web.Request) -> web.StreamResponse:
        if is_internal and ticket_of(request) is None:
            raise PermissionDeniedError(INTERNAL)
        if request.method not in SAFE_METHODS:
            check_origin(request)
        if role is not None:
            await _admit(request, role)
        return await endpoint(request)

    return serve


async def _admit(request: web.Request, role: Role) -> None:
    """Note who makes a request, and what there is for them; raises UnauthenticatedError, PermissionDeniedError."""
    try:
        identity = await _identify(request)
    except UnauthenticatedError:
        request.app[DEPENDENCIES].telemetry.http_refused(
            "unauthenticated", address=client_address(request)
        )
        if _is_navigation(request):
            raise web.HTTPSeeOther(_login_link(request)) from None
        raise
    request[IDENTITY] = identity
    try:
        check_role(identity, role, "do this")
    except PermissionDeniedError:
        request.app[DEPENDENCIES].telemetry.http_refused(
            "permission_denied", address=client_address(request), identity=identity.name
        )
        raise
    request[OWN_DEPENDENCIES] = deps_for(request.app[DEPENDENCIES], identity)


async def _identify(request: web.Request) -> Identity:
    if (ticket := ticket_of(request)) is not None:
        await check_body(request, ticket)
        request[IS_LOGGED_IN] = ticket.is_logged_in
        return ticket.identity
    authentication = request.app[DEPENDENCIES].authentication
    token = token_of(request.headers.get("Authorization", ""))
    cookie = "" if token or not authentication.is_required else cookie_token(request)
    request[IS_LOGGED_IN] = bool(cookie)
    token = token or cookie
    return await authentication.identify(Credentials(token, certificate_names(request)))


async def is_admitted(request: web.Request, role: Role) -> bool:
    """Return whether a request to a route that is open to all comes from somebody with a role, for every session."""
    try:
        identity = await _identify(request)
    except UnauthenticatedError:
        return False
    return identity.may(role) and not identity.sessions


def _is_navigation(request: web.Request) -> bool:
    """Return whether a person's browser has asked for a page, which the login page may stand in for."""
    is_page = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    return is_page and not local_path(request).startswith("/api/")


def _login_link(request: web.Request) -> str:
    query = request.rel_url.raw_query_string
    wanted = local_path(request).lstrip("/") + (f"?{query}" if query else "")
    return f"{root_of(request)}{LOGIN}?next={quote(wanted, safe='')}"
