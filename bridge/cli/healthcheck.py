"""`trainbridge healthcheck`."""

import argparse
import sys

from bridge.cli.arguments import add_url, chosen_url
from bridge.client.query import BridgeClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `healthcheck`."""
    add_url(parser)


def run(arguments: argparse.Namespace) -> int:
    """Succeed if the bridge is ready."""
    BridgeClient(chosen_url(arguments.url)).check_ready()
    sys.stdout.write("ready\n")
    return 0
