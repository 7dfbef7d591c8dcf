"""Requests to the HTTP server of a bridge, with the token that it is shown, and what its errors mean."""

import json
import ssl
from http.client import HTTPException, HTTPMessage
from typing import IO, Protocol
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from bridge.client.query_errors import NoBridgeError, ProblemError
from bridge.client.query_failures import checked_url, explain
from bridge.client.query_rejections import UNAUTHORIZED, way_out
from bridge.client.token_source import TokenSource, hidden, warn_of_plain_text
from bridge.proxies import HTTP_VARIABLES, HTTPS_VARIABLES, is_loopback_host, proxy_for

LONGEST_DETAIL = 500
LARGEST_ERROR_BYTES = 64 * 1024

AUTHORIZATION = "Authorization"
LOGIN = "/login"
DEFAULT_PORTS = {"http": 80, "https": 443}


class TlsSource(Protocol):
    """Knows what https:// is spoken with."""

    def context(self) -> ssl.SSLContext:
        """Return it as it is now."""


class BridgeServer:
    """The HTTP server of one bridge; threads may share it."""

    def __init__(
        self, url: str, token: TokenSource, tls: TlsSource, *, timeout_seconds: float
    ) -> None:
        """Connect to nothing yet.

        Raises ValueError for what is not an http(s) URL and files that cannot be used, OSError for those that cannot be read.
        """
        parts = checked_url(url)
        self.url = url.strip().rstrip("/")
        self.token = token
        self._timeout_seconds = timeout_seconds
        self._proxy = proxy_for(
            parts.hostname or "",
            _port(parts),
            variables=HTTPS_VARIABLES if parts.scheme == "https" else HTTP_VARIABLES,
        )
        is_proxied = self._proxy is not None and self._proxy.is_usable
        proxies = {parts.scheme: self._proxy.url} if self._proxy and is_proxied else {}
        self._handlers = (ProxyHandler(proxies), _Redirects())
        self._tls = tls if parts.scheme == "https" else None
        self._context = self._tls.context() if self._tls else None
        self._opener = self._new_opener()
        if token and parts.scheme == "http" and not is_loopback_host(parts.hostname or ""):
            warn_of_plain_text(
                self.url, "use https:// where the bridge, or a proxy before it, has TLS"
            )

    def fetch(self, path: str, data: bytes | None = None, *, method: str | None = None) -> bytes:
        """Return the body at a path. Raises NoBridgeError and ProblemError.

        A token that is not let in is read again, and where there is another one by now, that is shown once.
        """
        token = self.token.value
        try:
            return self._fetch(path, data, method, token)
        except ProblemError as problem:
            if problem.status != UNAUTHORIZED or self.token.value == token:
                raise
        return self._fetch(path, data, method, self.token.value)

    def _fetch(self, path: str, data: bytes | None, method: str | None, token: str) -> bytes:
        headers = {"Accept": "application/json, */*", "Content-Type": "application/json"}
        request = Request(self.url + path, data, headers, method=method)  # noqa: S310 -- http and https only, see __init__
        if token:
            request.add_unredirected_header(AUTHORIZATION, f"Bearer {token}")
        try:
            with self._opener_now().open(request, timeout=self._timeout_seconds) as response:
                body: bytes = response.read()
                return body
        except HTTPError as error:
            with error:
                raise self._problem(error, token) from None  # its text may repeat the token
        except (OSError, HTTPException) as error:
            cause = explain(error, self.url, self._proxy)
            raise NoBridgeError(f"no bridge at {self.url}: {cause}") from error

    def _opener_now(self) -> OpenerDirector:
        """Return what makes requests; another one when files of certificates were renewed."""
        context = self._tls.context() if self._tls else None
        if context is not self._context:
            self._context = context
            self._opener = self._new_opener()
        return self._opener

    def _new_opener(self) -> OpenerDirector:
        tls = (HTTPSHandler(context=self._context),) if self._context else ()
        return build_opener(*self._handlers, *tls)

    def _problem(self, error: HTTPError, token: str) -> ProblemError:
        """Return the problem in the answer; pages of proxies are not repeated, only their status."""
        title, detail = str(error.reason), ""
        try:
            content = error.read(LARGEST_ERROR_BYTES).decode(errors="replace")
            match error.headers.get_content_type():
                case "application/problem+json":
                    problem = json.loads(content)
                    title = str(problem.get("title") or title)
                    detail = str(problem.get("detail") or "")
                case "text/plain":
                    detail = "; ".join(content.split("\n")).strip("; ")
        except (OSError, HTTPException, ValueError, AttributeError):
            pass  # the status says enough
        if error.code == UNAUTHORIZED:
            self.token.refresh()
        elsewhere = error.url if not _is_same_server(error.url, self.url) else ""
        way = way_out(error.code, self.token, elsewhere=elsewhere, has_detail=bool(detail))
        return ProblemError(error.code, _quoted(title, token), _quoted(detail, token), way_out=way)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects; a token goes no further than the server that it is for."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        if urlsplit(newurl).path.endswith(LOGIN) and _is_same_server(newurl, req.full_url):
            raise HTTPError(req.full_url, UNAUTHORIZED, "Unauthorized", headers, fp)
        followed = super().redirect_request(req, fp, code, msg, headers, newurl)
        shown = req.get_header(AUTHORIZATION)
        if followed is not None and shown and _is_same_server(newurl, req.full_url):
            followed.add_unredirected_header(AUTHORIZATION, shown)
        return followed


def _is_same_server(one: str, other: str) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.hostname, _port(first)) == (
        second.scheme,
        second.hostname,
        _port(second),
    )


def _port(parts: SplitResult) -> int:
    return parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


def _quoted(text: str, token: str) -> str:
    """Return what a server says as it may be shown: without the token, and without what a terminal would obey."""
    plain = "".join(letter if letter.isprintable() else " " for letter in hidden(text, token))
    return plain[:LONGEST_DETAIL]
