"""`trainbridge token`."""

import argparse
import re
import sys
import time
from datetime import UTC, datetime
from datetime import time as time_of_day
from pathlib import Path

from bridge.access.entries import NAME, PREFIX
from bridge.access.identity import Role
from bridge.cli import token_check, token_list
from bridge.cli.exit_status import DONE
from bridge.cli.moments import UNITS

IN = re.compile(r"(\d{1,6})(s|min|m|h|d|w)")

DATE = "2027-01-31"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `token`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="one of")
    for name, summary, add, action in (
        ("new", "make a token, and the entry that lets it in", _add_new, _new),
        (
            "list",
            "list the tokens of a file, and what is weak about them",
            token_list.add_arguments,
            token_list.run,
        ),
        (
            "check",
            "say who a token is, for a file or for a running bridge, or why it is not let in",
            token_check.add_arguments,
            token_check.run,
        ),
    ):
        chosen = actions.add_parser(
            name,
            help=f"{summary}: `trainbridge token {name} --help`",
            description=f"{summary[0].upper()}{summary[1:]}.",
            allow_abbrev=False,
        )
        add(chosen)
        chosen.set_defaults(run_action=action)


def run(arguments: argparse.Namespace) -> int:
    """Run an action; raises SettingError for a file that cannot be used."""
    status: int = arguments.run_action(arguments)
    return status


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=_name, metavar="NAME", help="who it is for, such as grafana")
    parser.add_argument(
        "--roles",
        type=_roles,
        required=True,
        metavar="ROLES",
        help=f"what it may do: one or more of {', '.join(Role)}, with commas (control includes view)",
    )
    parser.add_argument(
        "--sessions",
        type=_prefix,
        metavar="PREFIX",
        help="let it see only sessions whose names begin so, such as team-a. (default: all)",
    )
    parser.add_argument(
        "--expires",
        type=_expiry,
        metavar="WHEN",
        help=f"when it ends: in so long, such as 90d or 12h, or on a date such as {DATE}, in UTC (default: never)",
    )
    parser.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="add the entry to this tokens file (default: print it, for you to add)",
    )


def _new(arguments: argparse.Namespace) -> int:
    """Print a new token to standard output, and nothing else there, so that it can be put into a file."""
    # Tokens files are read with the [server] extra; the help and the SDK do without.
    from bridge.access.new_tokens import Grant, add_entry, entry_text, new_token  # noqa: PLC0415

    grant = Grant(arguments.name, arguments.roles, arguments.sessions or "", arguments.expires)
    token = new_token()
    if arguments.file is None:
        where = "Add this entry to the list `tokens` of the tokens file of your bridges:"
        sys.stderr.write(f"{where}\n\n{entry_text(grant, token)}\n")
    else:
        add_entry(arguments.file, grant, token)
        sys.stderr.write(f"{arguments.file} has an entry for {grant.name} now.\n")
    for warning in _warnings(grant.roles, grant.sessions, never=grant.expires_at is None):
        sys.stderr.write(f"warning: {warning}\n")
    sys.stderr.write("The token, which is stored nowhere and not shown again:\n")
    sys.stderr.flush()
    sys.stdout.write(f"{token}\n")
    return DONE


def _warnings(roles: tuple[Role, ...], sessions: str, *, never: bool) -> list[str]:
    found = []
    if sessions and sessions[-1] not in "._-":
        found.append(
            f"it also sees sessions of others whose names begin with {sessions}: end --sessions with a separator, such as"
            f" {sessions}."
        )
    if never and Role.CONTROL in roles:
        found.append("it may send commands, and never expires: give --expires, such as 90d")
    return found


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: give at most 100 letters, digits and ._@/:-, such as grafana"
        )
    return text


def _roles(text: str) -> tuple[Role, ...]:
    names = text.replace(",", " ").split()
    if not names or any(name not in tuple(Role) for name in names):
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: give one or more of {', '.join(Role)}, with commas, such as view,metrics"
        )
    return tuple(role for role in Role if role in names)


def _prefix(text: str) -> str:
    if not PREFIX.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: give letters, digits and ._- (at most 48), with a separator at the end, such as team-a."
        )
    return text


def _expiry(text: str) -> int | None:
    """Return a moment to come, in seconds since 1970."""
    if text == "never":
        return None
    found = IN.fullmatch(text)
    try:
        moment = time.time() + int(found[1]) * UNITS[found[2]] if found else _moment(text)
        datetime.fromtimestamp(moment, UTC)
    except (ValueError, OverflowError, OSError):
        moment = 0.0
    if moment <= time.time():
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: give a time to come: in so long, such as 90d or 12h, or a date such as {DATE}, or never"
        )
    return int(moment)


def _moment(text: str) -> float:
    """Return a moment in UTC; a date means its end."""
    moment = datetime.fromisoformat(text)
    if len(text) == len(DATE):
        moment = datetime.combine(moment, time_of_day.max)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
