"""`trainbridge commands`."""

import argparse
import json
import sys
import time

from bridge.cli.arguments import add_bridge, add_json, bridge_client
from bridge.cli.exit_status import DONE
from bridge.cli.moments import add_since
from bridge.cli.plain_json import record_json
from bridge.cli.session_screen import age, asked_for, outcome_of, table
from bridge.cli.show_session import named
from bridge.client.query import ProblemError

COLUMNS = ("ASKED", "COMMAND", "BY", "OUTCOME")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `commands`."""
    parser.add_argument(
        "session", metavar="SESSION", help="the session's id, as `trainbridge sessions` lists it"
    )
    add_since(parser, "commands")
    add_json(parser, 'the commands as the API describes them, {"commands": [...]},')
    add_bridge(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the commands of a session and their answers, oldest first."""
    client = bridge_client(arguments)
    try:
        commands = client.commands(arguments.session)
    except ProblemError as problem:
        raise named(problem, client, arguments.session) from problem
    since = arguments.since
    kept = [one for one in commands if since is None or one.asked_at >= since]
    if arguments.json:
        content = {"commands": [record_json(one) for one in kept]}
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
    elif kept:
        now = time.time()
        rows = [
            (
                age(now - one.asked_at),
                asked_for(one.type, one.parameters),
                one.sent_by or "-",
                outcome_of(one),
            )
            for one in kept
        ]
        sys.stdout.write(table([COLUMNS, *rows]))
    else:
        sys.stdout.write(f"No commands of {arguments.session}{' since then' if since else ''}.\n")
    return DONE
