"""Carries requests to an object store: through proxies, with timeouts, and never twice."""

import os
import time
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import certifi
import urllib3

from bridge.errors import StorageError
from bridge.proxies import HTTP_VARIABLES, HTTPS_VARIABLES, Proxy, proxy_for

STALL_SECONDS = 5.0
"""Limit for connecting, and for sending each piece of a body."""

ANSWER_SECONDS = 20.0
"""Limit for the first byte of a response, and between its pieces."""

WHOLE_SECONDS = 60.0
"""Limit for all pieces of a response together: a list, or an image."""

PIECE_BYTES = 64 << 10

REFUSAL_BYTES = 64 << 10
"""A refusal of S3 is about 1 KiB of XML; what is larger comes from something else, and is not read."""

ANSWER_BYTES = 16 << 20
"""A list of a thousand keys of 1 KiB each, percent-encoded, has a quarter of it."""

BODY_HEADERS = ("content-encoding", "content-length", "transfer-encoding")


class Transport(urllib3.PoolManager):
    """Connections that time out early and never retry: the uploader does that."""

    def __init__(self, ca_file: str) -> None:
        """Trust the authorities of `ca_file`, of the file in SSL_CERT_FILE, or those of certifi."""
        self._options: dict[str, Any] = {
            "maxsize": 32,
            "timeout": urllib3.Timeout(connect=STALL_SECONDS, read=ANSWER_SECONDS),
            "retries": urllib3.Retry(total=False, redirect=0),
            "cert_reqs": "CERT_REQUIRED",
            "ca_certs": ca_file or os.environ.get("SSL_CERT_FILE") or certifi.where(),
            "blocksize": PIECE_BYTES,
        }
        self._proxies: dict[str, urllib3.ProxyManager] = {}
        super().__init__(**self._options)

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """Send a body piece by piece, each with its own timeout.

        Otherwise all of it would have to be sent within the timeout for connecting: 16 MiB would never get
        through a slow line. An answer is read up to a limit: what goes on after it is left, and counts as empty.
        """
        body = options.get("body")
        if isinstance(body, bytes) and len(body) > PIECE_BYTES:
            options["body"] = BytesIO(body)
        is_stream = not options.pop("preload_content", True)
        proxy = proxy_of(url)
        send = super().urlopen if proxy is None else self._through(proxy).urlopen
        if method == "HEAD":  # it has the headers of a body, and none
            return send(method, url, **options)
        response = send(method, url, preload_content=False, **options)
        is_refusal = response.status >= HTTPStatus.MULTIPLE_CHOICES
        if is_stream and not is_refusal:
            return response
        return bounded(response, REFUSAL_BYTES if is_refusal else ANSWER_BYTES)

    def _through(self, proxy: Proxy) -> urllib3.ProxyManager:
        if proxy.url not in self._proxies:
            if not proxy.is_usable:
                raise StorageError(
                    f"{proxy} cannot be used: give http://HOST:PORT there, or name the store's host in no_proxy"
                )
            credentials = urllib3.util.parse_url(proxy.url).auth
            headers = urllib3.make_headers(proxy_basic_auth=credentials) if credentials else None
            self._proxies[proxy.url] = urllib3.ProxyManager(
                proxy.url, proxy_headers=headers, **self._options
            )
        return self._proxies[proxy.url]


def bounded(response: urllib3.BaseHTTPResponse, most_bytes: int) -> urllib3.HTTPResponse:
    """Return a response with its whole body in memory; one with more than `most_bytes` gets none."""
    try:
        body = read_in_time(response, most_bytes + 1)
        if len(body) > most_bytes:
            body = b""
            response.close()
    finally:
        response.release_conn()
    return urllib3.HTTPResponse(
        BytesIO(body),
        headers=urllib3.HTTPHeaderDict(
            (name, value)
            for name, value in response.headers.items()
            if name.lower() not in BODY_HEADERS
        ),
        status=response.status,
        reason=response.reason,
        preload_content=False,
    )


def read_in_time(response: urllib3.BaseHTTPResponse, most_bytes: int) -> bytes:
    """Return a body, or its first `most_bytes`; raises TimeoutError of urllib3 where it only trickles."""
    end = time.monotonic() + WHOLE_SECONDS
    pieces: list[bytes] = []
    left = most_bytes
    while left > 0 and (piece := response.read1(min(left, PIECE_BYTES), decode_content=True)):
        pieces.append(piece)
        left -= len(piece)
        if time.monotonic() > end:
            raise urllib3.exceptions.TimeoutError(
                f"not all of an answer came within {WHOLE_SECONDS:.0f} s"
            )
    return b"".join(pieces)


def proxy_of(url: str) -> Proxy | None:
    """Return the proxy that the environment names for a URL, or None where it is reached directly."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    return proxy_for(
        parts.hostname or "",
        parts.port or (443 if is_tls else 80),
        variables=HTTPS_VARIABLES if is_tls else HTTP_VARIABLES,
    )
