"""What holds for every request before its endpoint sees it: its host is this bridge, and its body arrives in time."""

import asyncio

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.web.client_address import client_address
from bridge.web.dependencies import deps_of
from bridge.web.errors import Endpoint, SlowRequestError, UnsupportedMediaTypeError
from bridge.web.hosts import ForeignHostError, check_host
from bridge.web.http_connections import SLOW_REQUEST, HttpConnections
from bridge.web.links import ALERTMANAGER, local_path
from bridge.web.sliced_payload import SLICE_BYTES, SlicedPayload

CONNECTIONS = web.AppKey("connections", HttpConnections)

IDENTITY = "identity"
"""The content coding that changes nothing (RFC 9110, section 8.4.1)."""

LARGER_BODIES = {f"/{ALERTMANAGER}": 256 * 1024}
"""How large a body may be, by path, where it may be larger than all others."""


@web.middleware
async def limit_requests(request: web.Request, handler: Endpoint) -> web.StreamResponse:
    """Refuse a foreign host and a body that does not come; send large bodies at the reader's pace."""
    request.app[CONNECTIONS].request_arrived(request.transport)
    _check_host(request)
    _check_encoding(request)
    if (larger := LARGER_BODIES.get(local_path(request))) is not None:
        request = request.clone(client_max_size=larger)
    if request.can_read_body:
        await _read_body(request)
    response = await handler(request)
    if isinstance(response, web.Response):
        _slice_body(response)
    return response


def _slice_body(response: web.Response) -> None:
    body = response.body
    if isinstance(body, bytes) and len(body) > SLICE_BYTES:
        response.body = SlicedPayload(body, content_type=response.content_type)


def _check_host(request: web.Request) -> None:
    try:
        check_host(request)
    except ForeignHostError:
        deps_of(request).telemetry.http_refused(
            "host",
            host=request.host[:100],
            address=client_address(request),
            setting="--allowed-hosts, or --public-url",
        )
        raise


def _check_encoding(request: web.Request) -> None:
    """Refuse a body that would have to be unpacked: none of ours is, and what it unpacks to would not be known."""
    encoding = request.headers.get("Content-Encoding", IDENTITY).strip().lower()
    if encoding not in ("", IDENTITY):
        deps_of(request).telemetry.http_refused("encoding", address=client_address(request))
        raise UnsupportedMediaTypeError("send the body as it is, without Content-Encoding")


async def _read_body(request: web.Request) -> None:
    """Read the body, which the endpoint then finds read."""
    deps = deps_of(request)
    seconds = deps.connection_limits.request_seconds
    try:
        async with asyncio.timeout(seconds):
            await request.read()
    except web.RequestPayloadError as error:
        deps.telemetry.http_refused("malformed", address=client_address(request))
        raise InvalidDataError("the body is not framed as HTTP frames one") from error
    except TimeoutError:
        deps.telemetry.http_refused(SLOW_REQUEST, address=client_address(request))
        raise SlowRequestError(
            f"the request's body did not arrive within {seconds:g} s (--http-request-seconds)"
        ) from None
