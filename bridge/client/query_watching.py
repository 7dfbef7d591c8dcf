"""Follow what a bridge knows: a session until its end, a command until its answer; a bridge that is away is waited for."""

import time
from collections.abc import Callable, Iterator

from bridge.backoff import backoff_seconds
from bridge.client.query_errors import NoBridgeError, ProblemError, QueryError
from bridge.client.query_types import SessionDetails, SubmittedCommand

OPEN_STATES = frozenset({"queued", "sent"})
"""States of a command that has no answer."""

POLL_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0
SERVER_ERROR = 500


def changes(
    read: Callable[[], SessionDetails],
    interval_seconds: float,
    on_trouble: Callable[[QueryError], None] | None = None,
) -> Iterator[SessionDetails]:
    """Yield a session as it is now, and again whenever it has changed, until it is over.

    A bridge that is away or answers 5xx is asked again, less and less often; `on_trouble` is called each time.
    Any other error is raised.
    """
    seen: SessionDetails | None = None
    failures = 0
    while True:
        pause = interval_seconds
        try:
            session = read()
        except QueryError as error:
            if not _may_pass(error):
                raise
            if on_trouble is not None:
                on_trouble(error)
            pause += backoff_seconds(failures, longest_seconds=LONGEST_PAUSE_SECONDS)
            failures += 1
        else:
            failures = 0
            if session != seen:
                seen = session
                yield session
            if session.stage != "live":
                return
        time.sleep(pause)


def answered(
    read: Callable[[], tuple[SubmittedCommand, ...]],
    is_over: Callable[[], bool],
    command: SubmittedCommand,
    seconds: float,
) -> SubmittedCommand:
    """Return the command when it has its answer, or as it is when the time is over.

    A bridge that restarts meanwhile is waited for. Raises QueryError when the session has ended without an answer.
    """
    deadline = time.monotonic() + seconds
    while command.state in OPEN_STATES and time.monotonic() < deadline:
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        try:
            has_ended = is_over()
            command = next((one for one in read() if one.command_id == command.command_id), command)
        except QueryError as error:
            if not _may_pass(error):
                raise
            continue
        if has_ended and command.state in OPEN_STATES:
            raise QueryError(
                f"the session {command.session_id!r} has ended without an answer to the command"
            )
    return command


def _may_pass(error: QueryError) -> bool:
    return isinstance(error, NoBridgeError) or (
        isinstance(error, ProblemError) and error.status >= SERVER_ERROR
    )
