"""`trainbridge sessions show`."""

import argparse
import json
import sys
import time

from bridge.cli.arguments import add_action_arguments, bridge_client
from bridge.cli.exit_status import DONE
from bridge.cli.moments import add_since
from bridge.cli.plain_json import record_json
from bridge.cli.session_screen import Shown, screen
from bridge.client.query import BridgeClient, ProblemError, QueryError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sessions show`."""
    parser.add_argument(
        "name", metavar="SESSION", help="the id of a session, as `trainbridge sessions` lists it"
    )
    add_since(parser, "events, commands and alerts")
    add_action_arguments(parser, "the session, its events, commands and alerts")


def run(arguments: argparse.Namespace) -> int:
    """Print what a bridge knows of one session."""
    client = bridge_client(arguments)
    shown = read(client, arguments.name, arguments.since)
    if arguments.json:
        sys.stdout.write(json.dumps(record_json(shown), indent=2) + "\n")
    else:
        sys.stdout.write(screen(shown, time.time()))
    return DONE


def read(client: BridgeClient, session_id: str, since: float | None = None) -> Shown:
    """Return what the screen of a session shows; raises QueryError for one that is not there."""
    try:
        session = client.session(session_id)
    except ProblemError as problem:
        raise named(problem, client, session_id) from problem
    commands = client.commands(session_id)
    return Shown(
        session,
        client.events(session_id, since=since),
        tuple(one for one in commands if since is None or one.asked_at >= since),
        tuple(client.annotations([session_id], kinds=["alert"], since=since)),
    )


def named(problem: ProblemError, client: BridgeClient, session_id: str) -> QueryError:
    """Return the error as people read it: a session that is not there is named, with where to look."""
    if problem.status != 404 or not problem.detail:
        return problem
    note = f" ({problem.way_out})" if problem.way_out else ""
    return QueryError(
        f"there is no session {session_id!r} on the bridge at {client.url}{note}; `trainbridge sessions` lists those there are"
    )
