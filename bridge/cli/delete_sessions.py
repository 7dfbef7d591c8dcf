"""`trainbridge sessions delete`."""

import argparse
import sys

from bridge.cli.arguments import add_bridge, bridge_client
from bridge.cli.exit_status import DONE, FAILED
from bridge.cli.parsing import whole_number
from bridge.client.query import BridgeClient, ProblemError
from bridge.errors import SettingError

EPILOG = """\
exit status: 0 if every session is deleted; 1 if one does not exist, is still running, or the answer is no.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sessions delete`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "names",
        nargs="+",
        metavar="SESSION",
        help="the id of a session, as `trainbridge sessions` lists it",
    )
    parser.add_argument(
        "--attempt",
        type=whole_number(1),
        metavar="NUMBER",
        help="only this attempt of the session (default: the session with all of its attempts)",
    )
    parser.add_argument(
        "--images",
        action="store_true",
        help="also what the object store or folder has of it (default: its images stay there)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="also a session that is disconnected and has not ended; never one that is connected",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    # One that was given before `delete` must not be replaced by a default.
    add_bridge(parser, default=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Delete sessions one by one, and return the exit status; one that is refused does not stop the others."""
    client = bridge_client(arguments)
    if not arguments.yes and not _is_confirmed(client, arguments):
        sys.stdout.write("nothing was deleted\n")
        return FAILED
    status = DONE
    for name in dict.fromkeys(arguments.names):
        try:
            client.delete_session(
                name,
                attempt=arguments.attempt,
                images=arguments.images,
                force=arguments.force,
            )
        except ProblemError as problem:
            if problem.status not in (404, 409) or not problem.detail:
                raise
            sys.stdout.flush()
            sys.stderr.write(f"trainbridge: {name}: {problem.detail}\n")
            status = FAILED
        else:
            what = "and its images" if arguments.images else "without its images"
            sys.stdout.write(f"{_attempt_of(arguments)}{name} is deleted, {what}\n")
    return status


def _attempt_of(arguments: argparse.Namespace) -> str:
    return "" if arguments.attempt is None else f"attempt {arguments.attempt} of "


def _is_confirmed(client: BridgeClient, arguments: argparse.Namespace) -> bool:
    """Ask a person; raises SettingError where there is none."""
    if not sys.stdin or not sys.stdin.isatty():
        raise SettingError("nobody can be asked whether to delete: give --yes")
    names = ", ".join(dict.fromkeys(arguments.names))
    what = " and all their images" if arguments.images else ""
    subject = f"{_attempt_of(arguments)}{names}{what}"
    sys.stdout.write(f"Delete {subject} from the bridge at {client.url}, for good? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
