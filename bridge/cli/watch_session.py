"""`trainbridge sessions watch`."""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator

from bridge.cli.arguments import add_action_arguments, bridge_client
from bridge.cli.exit_status import DONE, FAILED
from bridge.cli.parsing import positive_number
from bridge.cli.plain_json import record_json
from bridge.cli.session_screen import Shown, number, progress_of, screen
from bridge.cli.show_session import named, read
from bridge.cli.terminal import is_terminal
from bridge.client.query import WATCH_SECONDS, BridgeClient, ProblemError, QueryError
from bridge.client.query_types import SessionDetails
from bridge.client.query_watching import changes

EPILOG = """\
exit status: 0 if the session completed; 1 if it ended in another way: failed, stopped, interrupted, lost; 130 after Ctrl-C.
"""
CLEAR_LINES = "\x1b[{}F\x1b[J"
"""Goes up so many lines, and clears what is below."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sessions watch`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "name",
        nargs="?",
        metavar="SESSION",
        help="the id of a session (default: the one that runs, where there is only one)",
    )
    parser.add_argument(
        "--interval",
        type=positive_number,
        default=WATCH_SECONDS,
        metavar="SECONDS",
        help="how often to look (default: %(default)g)",
    )
    add_action_arguments(parser, "the session at each change, one line each,")


def run(arguments: argparse.Namespace) -> int:
    """Show a session at each change until it is over, and return how it ended."""
    client = bridge_client(arguments)
    name = arguments.name or _running(client)
    show = (
        _Lines(as_json=arguments.json) if arguments.json or not is_terminal() else _Screen(client)
    )
    session: SessionDetails | None = None
    try:
        for session in changes(lambda: client.session(name), arguments.interval, show.note):
            show.update(session)
    except ProblemError as problem:
        raise named(problem, client, name) from problem
    return DONE if session is not None and session.state == "completed" else FAILED


def _running(client: BridgeClient) -> str:
    """Return the session that runs; raises QueryError where there is none, or more than one."""
    live = itertools.islice(client.sessions(status="live"), 6)
    names = [session.session_id for session in live]
    if len(names) == 1:
        return names[0]
    if not names:
        raise QueryError(f"no session runs on the bridge at {client.url}; name one that has ended")
    raise QueryError(f"several sessions run, name one of them: {', '.join(names[:5])}")


class _Lines:
    """A line for each change, for pipes and files."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def update(self, session: SessionDetails) -> None:
        line = json.dumps(record_json(session)) if self._as_json else "  ".join(_parts(session))
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def note(self, error: QueryError) -> None:
        sys.stderr.write(f"trainbridge: {error}; asking again\n")


class _Screen:
    """One screen that is drawn over the one before."""

    def __init__(self, client: BridgeClient) -> None:
        self._client = client
        self._lines = 0

    def update(self, session: SessionDetails) -> None:
        text = screen(self._shown(session))
        sys.stdout.write((CLEAR_LINES.format(self._lines) if self._lines else "") + text)
        sys.stdout.flush()
        self._lines = text.count("\n")

    def note(self, error: QueryError) -> None:
        sys.stderr.write(f"trainbridge: {error}; asking again\n")
        self._lines = 0  # what stands above is not to be cleared

    def _shown(self, session: SessionDetails) -> Shown:
        try:
            return read(self._client, session.session_id)
        except QueryError:
            return Shown(session)


def _parts(session: SessionDetails) -> Iterator[str]:
    yield time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(session.updated_at))
    yield session.session_id
    yield session.state
    if progress := progress_of(session):
        yield progress
    if session.loss is not None:
        yield f"loss {number(session.loss)}"
    if session.phase:
        yield session.phase
