"""HTTP requests: headers that decide who may come in, and parameters of addresses."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict, CIMultiDictProxy

from bridge.access.credentials import LONGEST_TOKEN, token_of
from bridge.access.tokens import hash_of_token
from bridge.errors import BridgeError
from bridge.sinks.metrics.negotiation import negotiate_format
from bridge.web.annotations.asked import asked_annotations
from bridge.web.client_address import TRUSTED_PROXIES, client_address, scheme_of
from bridge.web.comparison.selection import MAX_COMPARED, comparison_query
from bridge.web.cookies import cookie_token
from bridge.web.csrf import check_origin
from bridge.web.dependencies import DEPENDENCIES
from bridge.web.hosts import ALLOWED_HOSTS, AllowedHosts, check_host
from bridge.web.pages.image_selection import read_selection, usable_parameters
from bridge.web.request_params import parse_batch, whole_param
from bridge.web.runs.selection import rank_sort
from bridge.web.session_query import query_of
from bridge.web.trusted_proxies import TrustedProxies

HEADERS = (
    "Host",
    "Origin",
    "Sec-Fetch-Site",
    "Authorization",
    "Cookie",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Accept",
)
"""An input is a line of the query, and lines of headers that begin with the place of a name here."""

CLASSES = ("cat", "dog", "7")


def _app() -> web.Application:
    app = web.Application()
    app[ALLOWED_HOSTS] = AllowedHosts.of("*.example.org", public_url="https://bridge.example.org")
    app[TRUSTED_PROXIES] = TrustedProxies.of("10.0.0.0/8 fd00::/8")
    app[DEPENDENCIES] = SimpleNamespace(
        public_url="https://bridge.example.org/below", http_ports=()
    )
    return app


APP = _app()


def run(data: bytes) -> None:
    """Read a request as routes do; each part of it is used, or refused with an error of our own."""
    request = _request(data.decode("utf-8", "surrogateescape"))
    for read in (check_host, check_origin, query_of, rank_sort, asked_annotations, _count):
        _refusable(read, request)
    _read_origin(request)
    _read_credentials(request)
    assert len(comparison_query(request).names) <= MAX_COMPARED
    read_selection(usable_parameters(request.query), CLASSES)
    parse_batch(request.query.get("batch", ""))
    negotiate_format(request.headers.get("Accept", ""))


def _request(text: str) -> web.Request:
    query, *lines = text.split("\n")
    transport = SimpleNamespace(get_extra_info=lambda name, _default=None: _PEER.get(name))
    path = "/sessions?" + query.encode("utf-8", "replace").decode()
    request = make_mocked_request("GET", path, app=APP, transport=transport)
    # As a server makes them of bytes that are not UTF-8, which the library's own function for tests does not.
    request._headers = CIMultiDictProxy(CIMultiDict(_headers(lines)))
    return request


_PEER = {"peername": ("10.0.0.7", 50_123)}
"""A trusted proxy, so that what it says of others is read."""


def _headers(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        number, value = line[:1], line[1:].strip("\r\0 ")
        if number.isascii() and number.isdigit() and int(number) < len(HEADERS):
            yield HEADERS[int(number)], value


def _count(request: web.Request) -> int:
    return whole_param(request, "limit", 10, highest=100, lowest=1)


def _refusable(read: Callable[[web.Request], object], request: web.Request) -> None:
    try:
        read(request)
    except BridgeError as error:
        str(error).encode()  # as its response will be


def _read_origin(request: web.Request) -> None:
    assert client_address(request)
    assert scheme_of(request) in ("http", "https")


def _read_credentials(request: web.Request) -> None:
    token = token_of(request.headers.get("Authorization", ""))
    assert len(token) <= LONGEST_TOKEN
    hash_of_token(token)
    hash_of_token(cookie_token(request))
