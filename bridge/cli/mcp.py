"""`trainbridge mcp`."""

import argparse
import signal
import sys

from bridge.cli.arguments import STANDARD_INPUT, add_bridge, bridge_client
from bridge.cli.exit_status import DONE
from bridge.errors import SettingError

FOR_PROGRAMS = (
    "trainbridge: this speaks the Model Context Protocol on standard input and output, for an assistant that starts it;"
    " docs/mcp.md has its configuration. Ctrl-C ends it.\n"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mcp`."""
    parser.add_argument(
        "--allow-commands",
        action="store_true",
        help="let the assistant send commands too: pause, stop, learning rate and the like (default: it only reads)",
    )
    add_bridge(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answer an assistant until it closes standard input."""
    from bridge.mcp import serve_stdio  # noqa: PLC0415 -- an extra; `trainbridge --help` does without

    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # nothing is to be saved, and a read cannot be interrupted
    if sys.stdin.isatty():
        sys.stderr.write(FOR_PROGRAMS)
    if arguments.token_file == STANDARD_INPUT:
        raise SettingError(
            "--token-file -: standard input belongs to the assistant here; name the file of the token"
        )
    client = bridge_client(arguments)
    serve_stdio(client, allow_commands=arguments.allow_commands)
    return DONE
