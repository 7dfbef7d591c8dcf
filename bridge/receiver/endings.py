"""Why the bridge ends a stream that its client would leave open."""

from dataclasses import dataclass

import grpc


@dataclass(frozen=True, slots=True)
class Ending:
    """How a client learns that its stream is over."""

    reason: str
    """As the label of a series; "": it is to be expected, and nothing is counted."""
    status: grpc.StatusCode
    text: str


SUPERSEDED = Ending("", grpc.StatusCode.ABORTED, "a newer stream of the same client has taken over")
EXPIRED = Ending(
    "expired",
    grpc.StatusCode.FAILED_PRECONDITION,
    "the session of this stream has expired; register it again",
)
NOT_TO_BE_HAD = Ending(
    "database",
    grpc.StatusCode.UNAVAILABLE,
    "the session of this stream cannot be had from the database at the moment; connect again soon",
)
NO_LONGER_ADMITTED = Ending(
    "unauthenticated",
    grpc.StatusCode.UNAUTHENTICATED,
    "the token or certificate that this stream came in with has expired, or was removed or changed at the bridge:"
    " connect again with one that is good",
)


def unread(seconds: float) -> Ending:
    """Return the end of a stream whose client does not read."""
    text = f"no response of this stream was read for {seconds:g} s (--unread-seconds)"
    return Ending("unread", grpc.StatusCode.DEADLINE_EXCEEDED, text)


def nothing_said(seconds: float) -> Ending:
    """Return the end of a stream that holds a turn without using it."""
    text = (
        f"no message of a session came for {seconds:g} s (--first-message-seconds), and others wait"
    )
    return Ending("no_message", grpc.StatusCode.DEADLINE_EXCEEDED, text)
