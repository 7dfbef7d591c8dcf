"""Commands that query a running bridge: `sessions`, `command` and `healthcheck`."""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from bridge.cli.arguments import default_url, http_url
from bridge.client.query import BridgeClient
from bridge.client.query_types import SessionSummary
from bridge.protocol import CommandType

COMMAND_TYPES: Mapping[str, CommandType] = {
    "pause": CommandType.PAUSE_TRAINING,
    "resume": CommandType.RESUME_TRAINING,
    "stop": CommandType.STOP_TRAINING,
    "adjust-batch-size": CommandType.ADJUST_BATCH_SIZE,
    "change-learning-rate": CommandType.CHANGE_LEARNING_RATE,
    "save-checkpoint": CommandType.SAVE_CHECKPOINT,
}

COLUMNS = ("SESSION", "STATUS", "CONNECTED", "EPOCH", "BATCH", "LOSS")


def add_sessions_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sessions`."""
    _add_url(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the first page of the API's response (default: a table of all sessions)",
    )


def add_command_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `command`."""
    words = list(COMMAND_TYPES)
    parser.add_argument("type", choices=words, metavar="TYPE", help=", ".join(words))
    parser.add_argument(
        "session", metavar="SESSION", help="the session's id, as `trainbridge sessions` lists it"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_pair,
        dest="parameters",
        metavar="NAME=VALUE",
        help="a parameter of the command, such as batch_size=64 or learning_rate=0.001; may be repeated",
    )
    _add_url(parser)


def add_healthcheck_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `healthcheck`."""
    _add_url(parser)


def sessions(arguments: argparse.Namespace) -> int:
    """Print the sessions of a bridge, one line each."""
    client = BridgeClient(arguments.url)
    if arguments.json:
        answer = client.get_json("/api/v1/sessions")
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return 0
    rows = [_row(session) for session in client.sessions()]
    if not rows:
        sys.stdout.write("No sessions on this bridge.\n")
        return 0
    _print_table([COLUMNS, *rows])
    return 0


def command(arguments: argparse.Namespace) -> int:
    """Submit a command, and print its state."""
    submitted = BridgeClient(arguments.url).submit_command(
        arguments.session, COMMAND_TYPES[arguments.type], dict(arguments.parameters)
    )
    page = f"{arguments.url}/sessions/{quote(arguments.session)}"
    sys.stdout.write(
        f"{arguments.type} {submitted.state} for {arguments.session}; watch it at {page}\n"
    )
    return 0


def healthcheck(arguments: argparse.Namespace) -> int:
    """Succeed if the bridge is ready."""
    BridgeClient(arguments.url).check_ready()
    sys.stdout.write("ready\n")
    return 0


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        type=http_url,
        default=default_url(),
        metavar="URL",
        help="where the bridge is (default: %(default)s) [TRAINBRIDGE_URL]",
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _row(session: SessionSummary) -> tuple[str, ...]:
    return (
        session.session_id,
        "lost" if session.phase == "lost" else session.status,
        "yes" if session.connected else "no",
        _epoch(session),
        "-" if session.batch is None else str(session.batch),
        _number(session.loss),
    )


def _epoch(session: SessionSummary) -> str:
    if session.epoch is None:
        return "-"
    return f"{session.epoch}/{session.total_epochs}" if session.total_epochs else f"{session.epoch}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else json.dumps(value)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
