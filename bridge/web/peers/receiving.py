"""Requests that another bridge has passed on: served as if they had come here first."""

import time
from collections.abc import Sequence

from aiohttp import web
from multidict import CIMultiDict

from bridge.errors import PermissionDeniedError
from bridge.web.client_address import client_address
from bridge.web.dependencies import DEPENDENCIES
from bridge.web.errors import Endpoint
from bridge.web.peers.ticket import (
    ANSWERED,
    HEADER,
    REFUSED,
    Ticket,
    answer_proof,
    body_hash,
    opened,
)

TICKET = web.RequestKey("ticket", Ticket)
PROOF = web.RequestKey("proof", str)

PASSED_ON = ("Accept", "Content-Type", "Content-Length", "If-None-Match", "Sec-Fetch-Dest")
"""What the client of the other bridge has sent that counts here; everything else it has dealt with."""


@web.middleware
async def receive_forwarded(request: web.Request, handler: Endpoint) -> web.StreamResponse:
    """Let a request count as what another bridge says it is, with that bridge's proof; raises PermissionDeniedError without."""
    given = request.headers.getall(HEADER, ())
    if not given:
        return await handler(request)
    try:
        ticket = _checked(request, given)
    except PermissionDeniedError:
        request.app[DEPENDENCIES].telemetry.http_refused(
            "forwarded", address=client_address(request)
        )
        raise
    request[PROOF] = answer_proof(given[0], request.app[DEPENDENCIES].peers.secret)
    headers = CIMultiDict(
        (name, request.headers[name]) for name in PASSED_ON if name in request.headers
    )
    if ticket.host:
        headers["Host"] = ticket.host
    original = request.clone(
        headers=headers, scheme=ticket.scheme, host=ticket.host, remote=ticket.address
    )
    original[TICKET] = ticket
    return await handler(original)


def ticket_of(request: web.Request) -> Ticket | None:
    """Return what another bridge says of a request; None: it came here first."""
    return request.get(TICKET)


def prove_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Have an answer to another bridge show that it comes from one."""
    if PROOF in request:
        response.headers[ANSWERED] = request[PROOF]


async def check_body(request: web.Request, ticket: Ticket) -> None:
    """Raise PermissionDeniedError for a body other than the one that was passed on."""
    if body_hash(await request.read()) != ticket.body_sha256:
        raise PermissionDeniedError(REFUSED)


def _checked(request: web.Request, given: Sequence[str]) -> Ticket:
    peers = request.app[DEPENDENCIES].peers
    if len(given) != 1:
        raise PermissionDeniedError(REFUSED)
    ticket = opened(given[0], peers.secret, now=time.time())
    if (ticket.to, ticket.method, ticket.target) != (
        peers.bridge_id,
        request.method,
        request.raw_path,
    ):
        raise PermissionDeniedError(REFUSED)
    return ticket
