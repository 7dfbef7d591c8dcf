"""`trainbridge healthcheck`."""

import argparse
import json
import sys

from bridge.cli.arguments import add_bridge, add_json, bridge_client
from bridge.cli.exit_status import DONE, FAILED
from bridge.client.query import QueryError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `healthcheck`."""
    add_json(parser, "whether it is, and why not,")
    add_bridge(parser)


def run(arguments: argparse.Namespace) -> int:
    """Succeed if the bridge is ready."""
    client = bridge_client(arguments)
    try:
        client.check_ready()
    except QueryError as error:
        if not arguments.json:
            raise
        _print({"ready": False, "reason": str(error)})
        return FAILED
    if arguments.json:
        _print({"ready": True})
    else:
        sys.stdout.write("ready\n")
    return DONE


def _print(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
