"""OTLP over HTTP, as protobuf."""

import asyncio
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from bridge import __version__
from bridge.proxies import HTTP_VARIABLES, HTTPS_VARIABLES, Proxy
from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.otlp.encoding import (
    RESPONSE_BYTES,
    Accepted,
    accepted,
    accepted_json,
    refusal,
)
from bridge.sinks.spans.otlp.errors import ExportError, quoted, sentence
from bridge.sinks.spans.otlp.http_failures import FAILURES, REFUSALS, cause_of, way_out_of
from bridge.sinks.spans.otlp.proxy import proxy_of
from bridge.sinks.spans.otlp.resolver import DaemonResolver
from bridge.sinks.spans.otlp.tls import context_of

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

KEEP_ALIVE_SECONDS = 5.0
"""Shorter than any server keeps an idle connection, so that none is closed just when it is used again."""

LONGEST_RETRY_AFTER_SECONDS = 600.0


class HttpTransport:
    """One connection to an HTTP endpoint; redirects are not followed, since they would take the headers along."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Connect with the first request."""
        self._endpoint = endpoint
        self._session: ClientSession | None = None
        self._headers = {
            "Content-Type": PROTOBUF,
            "User-Agent": f"trainbridge/{__version__}",
            "Accept-Encoding": "identity",
            **({"Content-Encoding": "gzip"} if endpoint.compression == "gzip" else {}),
            **endpoint.headers,
        }

    async def send(self, request: bytes) -> Accepted:
        """Return what the endpoint says of an export that it accepts; raises ExportError for any other."""
        variables = HTTPS_VARIABLES if self._endpoint.is_tls else HTTP_VARIABLES
        proxy = proxy_of(self._endpoint, variables)
        try:
            async with asyncio.timeout(self._endpoint.timeout_seconds):
                return await self._post(request, proxy)
        except FAILURES as error:
            await self.close()
            cause, way_out = cause_of(error, self._endpoint)
            raise ExportError(sentence(self._endpoint, proxy, cause, way_out)) from error

    async def close(self) -> None:
        """Close the connection; the next request opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, request: bytes, proxy: Proxy | None) -> Accepted:
        session = self._session = self._session or self._new_session()
        url = proxy.url if proxy else None
        async with session.post(
            self._endpoint.url, data=request, proxy=url, allow_redirects=False
        ) as response:
            content = await _body(response)
            if response.status != 200:
                raise self._refused(response, content, proxy)
            try:
                return _accepted(response.content_type, content)
            except ValueError:
                words = quoted(_text(response, content))
                cause = f"it answers with {response.content_type}, which is not OTLP{words}"
                way_out = "check host, port and path of otlp_endpoint, or set otlp_traces_endpoint"
                raise ExportError(sentence(self._endpoint, proxy, cause, way_out)) from None

    def _new_session(self) -> ClientSession:
        connector = TCPConnector(
            limit=1,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            resolver=DaemonResolver(),
            ssl=context_of(self._endpoint) if self._endpoint.is_tls else True,
        )
        return ClientSession(
            connector=connector,
            headers=self._headers,
            timeout=ClientTimeout(total=self._endpoint.timeout_seconds),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    def _refused(
        self, response: ClientResponse, content: bytes, proxy: Proxy | None
    ) -> ExportError:
        status = f"{response.status} {response.reason or ''}".strip()
        target = response.headers.get("Location", "")
        cause = f"it answers {status}{quoted(_text(response, content))}"
        way_out = way_out_of(response.status, target, is_proxied=proxy is not None)
        return ExportError(
            sentence(self._endpoint, proxy, cause, way_out),
            retry_after_seconds=_retry_after(response.headers.get("Retry-After", "")),
            is_refusal=response.status in REFUSALS,
        )


async def _body(response: ClientResponse) -> bytes:
    """Return the body, or its beginning where it is far too long to be a response of OTLP."""
    content = bytearray()
    async for piece in response.content.iter_chunked(8_192):
        content += piece
        if len(content) > RESPONSE_BYTES:
            break
    return bytes(content[:RESPONSE_BYTES])


def _accepted(content_type: str, content: bytes) -> Accepted:
    if not content:
        return Accepted()
    if content_type == PROTOBUF:
        return accepted(content)
    if content_type == JSON:
        return accepted_json(content)
    raise ValueError("not an OTLP response")


def _text(response: ClientResponse, content: bytes) -> str:
    if response.content_type == PROTOBUF:
        return refusal(content)
    return content.decode(errors="replace")


def _retry_after(text: str) -> float:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3), within reason."""
    seconds = 0.0
    if text.strip().isdecimal():
        seconds = float(text)
    else:
        with suppress(ValueError):
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_SECONDS)
