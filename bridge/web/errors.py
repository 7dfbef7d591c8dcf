"""Errors of requests: problem JSON for programs, pages for people."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from bridge.errors import (
    BridgeError,
    ForeignSessionError,
    InvalidDataError,
    LimitError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    SessionRunningError,
    StorageError,
    UnauthenticatedError,
    UnknownSessionError,
)
from bridge.protocol import SESSION_ID
from bridge.web.dependencies import deps_of
from bridge.web.hosts import ForeignHostError
from bridge.web.json_response import json_response
from bridge.web.links import local_path
from bridge.web.templating import render_response

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ConflictError(BridgeError):
    """The request cannot be carried out in the current state."""


class ForbiddenError(BridgeError):
    """A browser sent the request from a page that may not send it."""


class SlowRequestError(BridgeError):
    """The client took too long to send the body of its request."""


class UnsupportedMediaTypeError(BridgeError):
    """The body is not of the type that the endpoint reads."""


STATUS_OF: dict[type[BridgeError], int] = {
    InvalidDataError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    PermissionDeniedError: 403,
    NotFoundError: 404,
    UnknownSessionError: 404,
    SlowRequestError: 408,
    ConflictError: 409,
    ForeignSessionError: 409,
    SessionRunningError: 409,
    UnsupportedMediaTypeError: 415,
    ForeignHostError: 421,
    LimitError: 429,
    OverloadedError: 503,
    StorageError: 503,
}
"""The status of each error; whatever is not listed is a fault of the bridge."""

RETRY_AFTER_SECONDS = {429: "5", 503: "5"}

CHALLENGE = 'Bearer realm="trainbridge"'
"""How to ask again with credentials (RFC 6750, section 3)."""

NOT_FOUND_TEXT = "there is nothing at this address"
INTERNAL_TEXT = "the bridge ran into an internal error; its log has the details"
STORAGE_TEXT = (
    "a storage backend is not responding as it should; try again in a moment: /readyz?verbose on this bridge,"
    " and its log, say what is wrong"
)


@web.middleware
async def error_middleware(request: web.Request, handler: Endpoint) -> web.StreamResponse:
    """Turn every error into a response that reveals no internals."""
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        return _error_response(request, error.status, _http_detail(error), _allow_header(error))
    except BridgeError as error:
        status = next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)
        return _error_response(request, status, _detail(request, error, status))
    except Exception as error:  # noqa: BLE001 -- one bad page must not end the connection of others
        deps_of(request).telemetry.unexpected_error("web", error)
        return _error_response(request, 500, INTERNAL_TEXT)


def _error_response(
    request: web.Request, status: int, detail: str, headers: dict[str, str] | None = None
) -> web.Response:
    title = HTTPStatus(status).phrase
    if _is_for_program(request):
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        response = json_response(problem, status=status, type="application/problem+json")
    else:
        back = _session_around(request) if status != HTTPStatus.NOT_FOUND else ""
        response = render_response(
            request, "error.html", status=status, title=title, detail=detail, session_id=back
        )
    response.headers.update(headers or {})
    if status == HTTPStatus.REQUEST_TIMEOUT:
        response.force_close()  # the rest of the body may come after all
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = CHALLENGE
    if status in RETRY_AFTER_SECONDS:
        response.headers["Retry-After"] = RETRY_AFTER_SECONDS[status]
    return response


def _is_for_program(request: web.Request) -> bool:
    """Return whether a program reads the answer: of the API, and of images and /metrics where it says so."""
    is_json_wanted = "application/json" in request.headers.get("Accept", "")
    return local_path(request).startswith("/api/") or is_json_wanted


def _session_around(request: web.Request) -> str:
    """Return the session on whose page the form was, or "": also where the address takes no such request."""
    folder, _, rest = local_path(request).removeprefix("/").partition("/")
    session_id, _, below = rest.partition("/")
    return session_id if folder == "sessions" and below and SESSION_ID.fullmatch(session_id) else ""


def _detail(request: web.Request, error: BridgeError, status: int) -> str:
    if status < 500 or isinstance(error, OverloadedError):
        # A header may have held bytes that are not UTF-8, which no response could hold.
        return str(error).encode(errors="replace").decode()
    if isinstance(error, StorageError):
        deps_of(request).telemetry.storage_failed("web", error)
        return STORAGE_TEXT
    deps_of(request).telemetry.unexpected_error("web", error)
    return INTERNAL_TEXT


def _http_detail(error: web.HTTPException) -> str:
    if error.status == 404:
        return NOT_FOUND_TEXT
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"this address only accepts {', '.join(sorted(error.allowed_methods))}"
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "the request body is too large"
    return "the request was refused"


def _allow_header(error: web.HTTPException) -> dict[str, str]:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return {"Allow": ", ".join(sorted(error.allowed_methods))}
    return {}
