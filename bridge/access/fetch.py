"""Fetches small JSON documents of an issuer, which may be slow, hostile or away."""

import json
import ssl
import time
import urllib.request
from collections.abc import Mapping
from functools import partial
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError

from bridge.errors import IssuerError

SOCKET_SECONDS = 5.0
"""For a connection, and for each piece of an answer."""

WHOLE_SECONDS = 10.0
"""For the body of an answer."""

MAX_BYTES = 1 << 20
"""Of a document."""

WAYS_OUT = {
    300: "which is not followed: set oidc_issuer or oidc_jwks_url to where it leads",
    401: "it asks for a token: set oidc_token_file to a file with one that it takes",
    403: "it does not take the token: set oidc_token_file to a file with one that may read it",
    404: "nothing is there: correct oidc_issuer, or set oidc_jwks_url to where its keys are",
    500: "see the log of the issuer",
}
"""By the status, or by the first of its hundred."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Lets a redirect be an error: keys are where the settings say, or nowhere."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Follow none."""


def fetch_json(url: str, *, authorities: Path | None, bearer: str = "") -> Mapping[str, Any]:
    """Return the JSON object at an http(s) URL; blocks. Raises IssuerError with the cause and the way out."""
    headers = {"Accept": "application/json", "User-Agent": "trainbridge"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 -- http(s), as the settings and the caller check
    if bearer:
        request.add_unredirected_header("Authorization", f"Bearer {bearer}")
    try:
        with _opener(url, authorities).open(request, timeout=SOCKET_SECONDS) as response:
            return _object(_read(response, url), url)
    except HTTPError as error:
        with error:
            raise IssuerError(
                f"{url} answers with status {error.code}, {_way_out(error.code)}"
            ) from None
    except (OSError, HTTPException) as error:
        raise IssuerError(f"{url} cannot be read ({_reason(error)}): {_hint(error)}") from None


def _opener(url: str, authorities: Path | None) -> urllib.request.OpenerDirector:
    try:
        context = ssl.create_default_context(cafile=None if authorities is None else authorities)
    except OSError as error:  # ssl.SSLError is one
        raise IssuerError(
            f"oidc_ca_file is {authorities}, which is not a PEM file of certificates ({_reason(error)}): name one that is"
        ) from None
    handlers: list[urllib.request.BaseHandler] = [
        _NoRedirects(),
        urllib.request.HTTPSHandler(context=context),
    ]
    if not url.startswith("https:"):  # on this machine, where no proxy may come in between
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _read(response: HTTPResponse, url: str) -> bytes:
    deadline = time.monotonic() + WHOLE_SECONDS
    body = bytearray()
    for piece in iter(partial(response.read1, 1 << 16), b""):
        body += piece
        if len(body) > MAX_BYTES:
            raise IssuerError(
                f"{url} sends more than {MAX_BYTES >> 20} MiB, and so is not what was looked for: correct the address"
            )
        if time.monotonic() > deadline:
            raise IssuerError(
                f"{url} takes longer than {WHOLE_SECONDS:g} s: see what slows the issuer, or the way to it"
            )
    return bytes(body)


def _object(body: bytes, url: str) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise IssuerError(
            f"{url} sends no JSON object, and so is not what was looked for: correct the address"
        )
    return found


def _way_out(status: int) -> str:
    return WAYS_OUT.get(status) or WAYS_OUT.get(status // 100 * 100) or WAYS_OUT[404]


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    if isinstance(inner, TimeoutError):
        return f"no answer within {SOCKET_SECONDS:g} s"
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())[:200]


def _hint(error: Exception) -> str:
    if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
        return "set oidc_ca_file to the authority of its certificate"
    return "check the address, and whether this machine reaches it"
