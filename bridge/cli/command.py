"""`trainbridge command`."""

import argparse
import getpass
import itertools
import json
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict
from urllib.parse import quote

from bridge.cli.arguments import add_bridge, add_json, bridge_client
from bridge.cli.exit_status import DONE, FAILED
from bridge.cli.parsing import name_and_value, positive_number
from bridge.cli.show_session import named
from bridge.client.query import BridgeClient, ProblemError
from bridge.client.query_types import SubmittedCommand
from bridge.errors import SettingError
from bridge.protocol import COMMAND_WORDS, CommandType

NOT_ANSWERED = 3
"""The time of --timeout is over: the command stays with the bridge, and the loop may still apply it."""

REQUIRED = {
    CommandType.ADJUST_BATCH_SIZE: ("batch_size", "64"),
    CommandType.CHANGE_LEARNING_RATE: ("learning_rate", "0.0003"),
}
"""The parameter that a command cannot do without, and an example of it."""

EXIT_STATUSES = {"applied": DONE, "refused": FAILED, "expired": FAILED}
WAIT_SECONDS = 60.0
LONGEST_NAME = 64

EPILOG = """\
exit status: 0 if the command is queued, or with --wait applied; 1 if it is refused or cannot be carried out;
2 if it is incomplete; 3 if the training loop has not answered within --timeout.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `command`."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "type", choices=list(COMMAND_WORDS), metavar="TYPE", help=", ".join(COMMAND_WORDS)
    )
    parser.add_argument(
        "session", metavar="SESSION", help="the session's id, as `trainbridge sessions` lists it"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=name_and_value,
        dest="parameters",
        metavar="NAME=VALUE",
        help="a parameter of the command, such as batch_size=64 or learning_rate=0.001; may be repeated",
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait until the training loop has answered (default: exit when the command is queued)",
    )
    parser.add_argument(
        "--timeout",
        type=positive_number,
        metavar="SECONDS",
        help=f"wait no longer than this; means --wait (default: {WAIT_SECONDS:g})",
    )
    parser.add_argument(
        "--expires-after",
        type=positive_number,
        metavar="SECONDS",
        help="not sent any more after this time without an answer (default: it waits for the loop)",
    )
    add_json(parser, "the command and its state")
    add_bridge(parser)


def run(arguments: argparse.Namespace) -> int:
    """Submit a command, print how far it has come, and return the exit status."""
    type_, parameters = COMMAND_WORDS[arguments.type], _parameters(arguments)
    client = bridge_client(arguments)
    command = _submit(client, arguments.session, type_, parameters, arguments.expires_after)
    is_waiting = arguments.wait or arguments.timeout is not None
    if is_waiting:
        command = client.answered(command, arguments.timeout or WAIT_SECONDS)
    if arguments.json:
        sys.stdout.write(json.dumps(asdict(command), indent=2) + "\n")
    else:
        sys.stdout.write(f"{arguments.type} {_described(client, command)}\n")
    return EXIT_STATUSES.get(command.state, NOT_ANSWERED if is_waiting else DONE)


def _parameters(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the parameters; raises SettingError where one is missing or given twice."""
    parameters = dict(arguments.parameters)
    if len(parameters) < len(arguments.parameters):
        names = sorted(name for name, _ in arguments.parameters)
        twice = next(name for name, following in itertools.pairwise(names) if name == following)
        raise SettingError(f"--set: {twice} is given more than once; give it once")
    name, example = REQUIRED.get(COMMAND_WORDS[arguments.type], ("", ""))
    if name and name not in parameters:
        raise SettingError(f"{arguments.type} needs a value: give --set {name}={example}")
    return parameters


def _submit(
    client: BridgeClient,
    session_id: str,
    type_: CommandType,
    parameters: Mapping[str, str],
    expires_in_seconds: float | None,
) -> SubmittedCommand:
    try:
        return client.submit_command(
            session_id, type_, parameters, by=_asker(), expires_in_seconds=expires_in_seconds
        )
    except ProblemError as problem:
        raise named(problem, client, session_id) from problem


def _asker() -> str:
    """Return who asks, for the history: the user and the machine, as far as they are known."""
    try:
        name = f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return ""
    return name[:LONGEST_NAME] if name.isprintable() else ""


def _described(client: BridgeClient, command: SubmittedCommand) -> str:
    result = command.result
    if result is not None:
        message = f": {result.message}" if result.message else ""
        return f"{command.state} by {command.session_id} at epoch {result.epoch}, batch {result.batch}{message}"
    if command.state == "expired":
        return f"expired for {command.session_id}: {command.note}"
    page = f"{client.url}/sessions/{quote(command.session_id, safe='')}"
    return f"{command.state} for {command.session_id}, not answered yet; --wait waits for the answer, and {page} shows it"
