"""What it means that a bridge does not let a client in, where the client's token comes from, and the way out."""

import re

import grpc

from bridge.client.settings import Destination

REJECTIONS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
"""What a bridge, or a proxy in front of it, answers to a client that it does not let in."""

WAYS = (
    "the argument token or token_file, or the variable TRAINBRIDGE_TOKEN or TRAINBRIDGE_TOKEN_FILE"
)

LONGEST_ANSWER = 300
"""Characters of what the bridge says that are repeated."""


def explain_rejection(code: grpc.StatusCode, details: str, destination: Destination) -> str:
    """Return a sentence that shows no token."""
    answer = _answer(destination.token.hide_in(details))
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return f"{_not_allowed(destination)}{answer}; {_allowed_by(destination)}"
    if not destination.token:
        return f"it asks for a token, and none is given{answer}; give one ({WAYS})"
    return f"it does not accept the token from {destination.token.source}{answer}; {_renewal(destination)}"


def _answer(details: str) -> str:
    status = re.search(r"http2 header with status: (\d+)", details)
    if status is not None:
        return f" (HTTP status {status[1]}, maybe of a proxy in front of it)"
    text = " ".join(details.split())[:LONGEST_ANSWER]
    return f' and says "{text}"' if text else ""


def _not_allowed(destination: Destination) -> str:
    if destination.token:
        return f"it does not let the token from {destination.token.source} stream this session"
    return "it does not let this process stream this session"


def _allowed_by(destination: Destination) -> str:
    if not destination.token:
        return f"give a token with the role ingest ({WAYS})"
    return "give a token with the role ingest, and the session a name with the prefix that the token is for"


def _renewal(destination: Destination) -> str:
    token = destination.token
    if token.path is None:
        return (
            "start again with a valid one; one in a file, token_file or TRAINBRIDGE_TOKEN_FILE, can be"
            " renewed while a process runs"
        )
    problem = f" (when last read: {token.problem})" if token.problem else ""
    return f"write a valid one into that file{problem}, and it is used at once"
