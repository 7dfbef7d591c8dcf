"""`trainbridge token check`."""

import argparse
import getpass
import sys
import time
from pathlib import Path

from bridge.cli.arguments import LONGEST_INPUT, add_bridge, bridge_client, chosen_token, unusable
from bridge.cli.exit_status import DONE, FAILED
from bridge.cli.token_list import expiry
from bridge.client.query import BridgeClient, ProblemError
from bridge.client.token_source import token_source
from bridge.errors import SettingError

UNAUTHENTICATED, FORBIDDEN = 401, 403


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `token check`."""
    parser.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="look it up in this tokens file (default: ask a running bridge)",
    )
    add_bridge(parser)


def run(arguments: argparse.Namespace) -> int:
    """Say who a token is; exit status 1 where it is nobody. Raises SettingError where there is no token to check."""
    token = _token(arguments)
    if arguments.file is not None:
        return _look_up(token, arguments.file)
    return _ask(bridge_client(arguments, known_token=token))


def _token(arguments: argparse.Namespace) -> str:
    """Return the token of the flag, of the environment, or else of standard input; a terminal does not show it."""
    token, file = chosen_token(arguments)
    try:
        found = token or token_source("", file).value
    except (ValueError, OSError) as error:
        raise unusable(error) from error
    if not found and sys.stdin is not None:
        is_terminal = sys.stdin.isatty()
        found = getpass.getpass("Token: ") if is_terminal else sys.stdin.read(LONGEST_INPUT)
    if not found.strip():
        raise SettingError(
            "no token was given: write one to standard input, such as with `< FILE`, or name its file with --token-file or"
            " TRAINBRIDGE_TOKEN_FILE"
        )
    return found.strip()


def _look_up(token: str, path: Path) -> int:
    # Tokens files are read with the [server] extra; asking a bridge does without.
    from bridge.access.tokens import find_token, read_tokens  # noqa: PLC0415

    found = find_token(token, read_tokens(path))
    if found is None:
        sys.stdout.write(f"{path} has no such token: it lets nobody in there\n")
        return FAILED
    identity = found.identity
    sys.stdout.write(
        f"{identity.name}, with the roles {', '.join(sorted(identity.roles))}, for"
        f" {f'sessions that begin with {identity.sessions}' if identity.sessions else 'all sessions'}; expires:"
        f" {expiry(identity.expires_at)}\n"
    )
    if identity.expires_at > time.time():
        return DONE
    sys.stdout.write(
        "it has expired, and lets nobody in: make a new one with `trainbridge token new`\n"
    )
    return FAILED


def _ask(client: BridgeClient) -> int:
    """Ask a bridge for something that many may see; what it answers to others says who they are."""
    try:
        next(client.sessions(), None)
    except ProblemError as error:
        if error.status not in (UNAUTHENTICATED, FORBIDDEN):
            raise
        sys.stdout.write(f"the bridge at {client.url} says: {error.detail or error.title}\n")
        return DONE if error.status == FORBIDDEN else FAILED
    sys.stdout.write(f"the bridge at {client.url} lets it in, with the role view\n")
    return DONE
