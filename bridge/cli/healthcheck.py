"""`trainbridge healthcheck`."""

import argparse
import json
import sys

from bridge.cli.arguments import add_json, add_url, chosen_url
from bridge.cli.exit_status import DONE, FAILED
from bridge.client.query import BridgeClient, QueryError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `healthcheck`."""
    add_json(parser, "whether it is, and why not,")
    add_url(parser)


def run(arguments: argparse.Namespace) -> int:
    """Succeed if the bridge is ready."""
    client = BridgeClient(chosen_url(arguments.url))
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
