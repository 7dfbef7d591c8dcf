"""Passes requests for a session on to the bridge that has it; without its answer, the last checkpoint is shown."""

import time

from aiohttp import web

from bridge.errors import OverloadedError, StorageError
from bridge.protocol import SESSION_ID
from bridge.web.client_address import client_address, scheme_of
from bridge.web.dependencies import deps_of
from bridge.web.errors import Endpoint
from bridge.web.identity import IS_LOGGED_IN, identity_of
from bridge.web.links import local_path
from bridge.web.peers.connections import PeerAnswer, SilentPeerError
from bridge.web.peers.receiving import PASSED_ON, ticket_of
from bridge.web.peers.sharing import Peer
from bridge.web.peers.staleness import HEADER, show_checkpoint
from bridge.web.peers.ticket import Ticket, body_hash

SAFE_METHODS = ("GET", "HEAD")

PASSED_BACK = (
    *("Content-Type", "ETag", "Cache-Control", "Location", "Vary", "Allow", "Retry-After"),
    "Cross-Origin-Resource-Policy",
)

NO_ANSWER = (403, 421)
"""What a bridge answers that does not take our word; who asks has been let in here."""

RETRY_AFTER_MS = 2_000


def forwarding(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint whose requests are answered by the bridge that has the session, else here."""

    async def serve(request: web.Request) -> web.StreamResponse:
        owner = await _owner(request)
        if owner is None:
            return await endpoint(request)
        answer = await _asked(request, owner)
        if answer is not None:
            return _response(answer)
        if request.method not in SAFE_METHODS:
            raise OverloadedError(
                f"bridge {owner.bridge_id}, which has this session, does not answer: look whether it has done this"
                " before you ask again, which helps in a few seconds",
                retry_after_ms=RETRY_AFTER_MS,
            )
        staleness = show_checkpoint(request, owner)
        response = await endpoint(request)
        if staleness.seconds is not None:
            response.headers[HEADER] = f"{staleness.seconds:.0f}"
        return response

    return serve


async def _owner(request: web.Request) -> Peer | None:
    """Return the other bridge that has the session of a request; None also for a request that has been passed on once."""
    deps = deps_of(request)
    session_id = request.match_info.get("session_id") or request.query.get("session", "").strip()
    is_here = not deps.peers.bridge_id or ticket_of(request) is not None
    if is_here or not SESSION_ID.fullmatch(session_id) or deps.sessions.find(session_id):
        return None
    if not identity_of(request).owns(session_id):
        return None
    try:
        return await deps.peer_threads.run(lambda: deps.peers.owner_of(session_id))
    except StorageError:  # too many ask already
        return None


async def _asked(request: web.Request, owner: Peer) -> PeerAnswer | None:
    """Return what the owner answers; None: nothing that could be shown in place of what is known here."""
    body = await request.read()
    ticket = Ticket(
        owner.bridge_id,
        request.method,
        _target(request),
        time.time(),
        identity_of(request),
        request.headers.get("Host", ""),
        scheme_of(request),
        client_address(request),
        IS_LOGGED_IN in request and request[IS_LOGGED_IN],
        body_hash(body),
    )
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    headers.pop("Content-Length", None)
    try:
        answer = await deps_of(request).peer_connections.request(
            owner, ticket, headers=headers, body=body
        )
    except SilentPeerError:
        return None
    is_failure = answer.status >= 500 and request.method in SAFE_METHODS
    return None if is_failure or answer.status in NO_ANSWER else answer


def _target(request: web.Request) -> str:
    """Return path and query below the root: the other bridge may not know under which path this one is published."""
    query = request.rel_url.raw_query_string
    return local_path(request) + (f"?{query}" if query else "")


def _response(answer: PeerAnswer) -> web.Response:
    headers = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
