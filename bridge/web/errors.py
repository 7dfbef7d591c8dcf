"""Say no: errors as problem JSON to programs and as pages to people."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.errors import (
    BridgeError,
    ForeignSessionError,
    InvalidDataError,
    LimitError,
    NotFoundError,
    OverloadedError,
    StorageError,
    UnknownSessionError,
)
from bridge.web.dependencies import deps_of
from bridge.web.json_response import json_response
from bridge.web.templating import show

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ConflictError(BridgeError):
    """What was asked for cannot be done in the state things are in."""


class RefusedError(BridgeError):
    """The request does not come from where it must come from."""


class UnsupportedError(BridgeError):
    """The body is not of the type that is read here."""


STATUS_OF: dict[type[BridgeError], int] = {
    InvalidDataError: 400,
    RefusedError: 403,
    NotFoundError: 404,
    UnknownSessionError: 404,
    ConflictError: 409,
    ForeignSessionError: 409,
    UnsupportedError: 415,
    LimitError: 429,
    OverloadedError: 503,
    StorageError: 503,
}
"""Who must act, in HTTP's words; what is not here is a fault of ours."""

TITLES = {
    400: "That request cannot be understood",
    403: "That is not allowed from there",
    404: "Nothing is here",
    405: "That cannot be done here",
    409: "Not in this state",
    413: "That is too large",
    415: "Not in this form",
    429: "Too much at once",
    500: "Something went wrong here",
    503: "Not at the moment",
}

RETRY_AFTER_SECONDS = {429: "5", 503: "5"}

NOT_FOUND_TEXT = "No page of this bridge has this address."
INTERNAL_TEXT = "The bridge met an error of its own; its log says more."
STORAGE_TEXT = "A store did not answer as it should; trying again may help."


@web.middleware
async def answering_errors(request: web.Request, handler: Endpoint) -> web.StreamResponse:
    """Turn whatever goes wrong into an answer that tells no secrets."""
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        return _answer(request, error.status, _text_of(error), _allowed(error))
    except BridgeError as error:
        status = next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)
        return _answer(request, status, _told(request, error, status))
    except Exception as error:  # noqa: BLE001 -- one bad page must not end the connection of others
        deps_of(request).telemetry.unexpected_error("web", error)
        return _answer(request, 500, INTERNAL_TEXT)


def _answer(
    request: web.Request, status: int, detail: str, headers: dict[str, str] | None = None
) -> web.Response:
    title = TITLES.get(status, "The request was refused")
    if request.path.startswith("/api/"):
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        response = json_response(problem, status=status, type="application/problem+json")
    else:
        response = show(request, "error.html", status=status, title=title, detail=detail)
    response.headers.update(headers or {})
    if status in RETRY_AFTER_SECONDS:
        response.headers["Retry-After"] = RETRY_AFTER_SECONDS[status]
    return response


def _told(request: web.Request, error: BridgeError, status: int) -> str:
    if status < 500 or isinstance(error, OverloadedError):
        return str(error)
    if isinstance(error, StorageError):
        deps_of(request).telemetry.storage_failed("web", error)
        return STORAGE_TEXT
    deps_of(request).telemetry.unexpected_error("web", error)
    return INTERNAL_TEXT


def _text_of(error: web.HTTPException) -> str:
    if error.status == 404:
        return NOT_FOUND_TEXT
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"This address answers {', '.join(sorted(error.allowed_methods))} only."
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "The body of the request is larger than is read here."
    return "The request was refused."


def _allowed(error: web.HTTPException) -> dict[str, str]:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return {"Allow": ", ".join(sorted(error.allowed_methods))}
    return {}
