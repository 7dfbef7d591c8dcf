"""What it means that a bridge does not let a client in, where the client's token comes from, and the way out."""

import re

import grpc

from bridge.client.settings import Destination
from bridge.client.token_source import TokenSource

REJECTIONS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
"""What a bridge, or a proxy in front of it, answers to a client that it does not let in."""

WAYS = "token_file or TRAINBRIDGE_TOKEN_FILE"

LONGEST_ANSWER = 400
"""Characters of what the bridge says that are repeated."""


def explain_rejection(code: grpc.StatusCode, details: str, destination: Destination) -> str:
    """Return a sentence that shows no token: what the bridge says, where the token is from, and the way out."""
    token = destination.token
    answer = _answer(token.hide_in(details))
    if code is grpc.StatusCode.PERMISSION_DENIED:
        who = f"the token from {token.source}" if token else "this process"
        return (
            f"it does not let {who} stream this session{answer}; give a token with the role ingest for sessions"
            f" of this name ({WAYS})"
        )
    if not token:
        return f"it asks for a token, and none is given{answer}; give one ({WAYS})"
    return f"it does not accept the token from {token.source}{answer}; {_renewal(token)}"


def _answer(details: str) -> str:
    status = re.search(r"http2 header with status: (\d+)", details)
    if status is not None:
        return f" (HTTP status {status[1]}, maybe of a proxy in front of it)"
    plain = "".join(letter if letter.isprintable() else " " for letter in details)
    text = " ".join(plain.split())[:LONGEST_ANSWER]
    return f': "{text}"' if text else ""


def _renewal(token: TokenSource) -> str:
    if token.path is None:
        return f"start again with a valid one; one in a file ({WAYS}) can be renewed while a process runs"
    problem = f" (when last read: {token.problem})" if token.problem else ""
    return f"write a valid one into that file{problem}, and it is used at once"
