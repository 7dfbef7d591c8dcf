"""What a bridge says of a request that it passes on, signed so that the other one takes its word for it.

The header is base64url(JSON).hex(HMAC-SHA256), the secret of which lies in the database that both share. It is good for
one bridge, one request and one minute.
"""

import base64
import binascii
import hashlib
import hmac
import json
import math
from dataclasses import dataclass
from typing import Any

from bridge.access import Identity, Role
from bridge.errors import PermissionDeniedError

HEADER = "trainbridge-forwarded"

ANSWERED = "trainbridge-answered"
"""Of every answer: whatever else listens where a bridge was, does not know the secret."""

GOOD_SECONDS = 60.0
"""How far the clocks of two bridges, and the way between them, may be apart."""

LONGEST = 7_000
"""Characters of a header that every bridge takes."""

REFUSED = "this request says that another bridge has passed it on, and does not prove it"


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who makes a request, and how it came to the first bridge."""

    to: str
    """The bridge that it is passed on to."""
    method: str
    target: str
    """Path and query, as they are sent."""
    at: float
    """When it was passed on, in seconds since 1970."""
    identity: Identity
    host: str
    """What its Host header named; "": it had none."""
    scheme: str = "http"
    address: str = ""
    """Where it came from."""
    is_logged_in: bool = False
    """Whether the credentials came in a cookie."""
    body_sha256: str = ""
    """Of its body, in hex; "": it has none."""


def body_hash(body: bytes) -> str:
    """Return what a ticket says of a body."""
    return hashlib.sha256(body).hexdigest() if body else ""


def signed(ticket: Ticket, secret: bytes) -> str:
    """Return the header of a request; raises ValueError where a secret is missing, or for one that is too long."""
    if not secret:
        raise ValueError("there is nothing to sign with")
    identity = ticket.identity
    content = {
        "to": ticket.to,
        "method": ticket.method,
        "target": ticket.target,
        "at": ticket.at,
        "name": identity.name,
        "roles": sorted(identity.roles),
        "sessions": identity.sessions,
        "expires_at": None if math.isinf(identity.expires_at) else identity.expires_at,
        "host": ticket.host,
        "scheme": ticket.scheme,
        "address": ticket.address,
        "is_logged_in": ticket.is_logged_in,
        "body_sha256": ticket.body_sha256,
    }
    text = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode()
    header = f"{text}.{_proof(text, secret)}"
    if len(header) > LONGEST:
        raise ValueError("the request is too long to be passed on")
    return header


def answer_proof(header: str, secret: bytes) -> str:
    """Return what an answer to a request with such a header carries."""
    return _proof(f"answer to {header}", secret)


def opened(header: str, secret: bytes, *, now: float) -> Ticket:
    """Return what another bridge has signed; raises PermissionDeniedError for anything else, or after its time."""
    text, _, proof = header.partition(".")
    if not secret or not header.isascii() or len(header) > LONGEST:
        raise PermissionDeniedError(REFUSED)
    if not hmac.compare_digest(proof, _proof(text, secret)):
        raise PermissionDeniedError(REFUSED)
    try:
        ticket = _ticket(json.loads(base64.urlsafe_b64decode(text)))
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError):
        raise PermissionDeniedError(REFUSED) from None
    if not abs(now - ticket.at) <= GOOD_SECONDS or now >= ticket.identity.expires_at:
        raise PermissionDeniedError(
            "another bridge has passed this request on too long ago, or its clock is wrong"
        )
    return ticket


def _ticket(content: dict[str, Any]) -> Ticket:
    """Return the content as a ticket; what a newer version has added is left out."""
    expires_at = content["expires_at"]
    identity = Identity(
        content["name"],
        frozenset(map(Role, content["roles"])),
        content["sessions"],
        math.inf if expires_at is None else float(expires_at),
    )
    return Ticket(
        content["to"],
        content["method"],
        content["target"],
        float(content["at"]),
        identity,
        content["host"],
        content["scheme"],
        content["address"],
        content["is_logged_in"],
        content["body_sha256"],
    )


def _proof(text: str, secret: bytes) -> str:
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
