"""`trainbridge sessions`."""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator

from bridge.cli import compare_sessions, delete_sessions, show_session, watch_session
from bridge.cli.arguments import add_bridge, add_json, bridge_client
from bridge.cli.exit_status import DONE
from bridge.cli.moments import add_since
from bridge.cli.parsing import whole_number
from bridge.cli.plain_json import record_json
from bridge.cli.session_screen import age, number, table
from bridge.client.query import BridgeClient
from bridge.client.query_types import SessionSummary

COLUMNS = (
    *("SESSION", "STATE", "CONNECTED", "ATTEMPT"),
    *("EPOCH", "BATCH", "STEP", "LOSS", "LAST MESSAGE"),
)
SEARCH = ("query", "status", "model")

ACTIONS = (
    ("show", show_session, "show one session: how far it is, how it does, and what has happened"),
    (
        "compare",
        compare_sessions,
        "compare sessions: results, curves, and what differs in their configurations",
    ),
    (
        "watch",
        watch_session,
        "follow a session until it is over; the exit status says how it ended",
    ),
    ("delete", delete_sessions, "delete sessions that have ended, for good"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sessions`."""
    add_bridge(parser)
    parser.add_argument(
        "--query",
        default="",
        metavar="TEXT",
        help="only sessions whose name, model, dataset, client or labels have all these words",
    )
    parser.add_argument(
        "--status",
        default="",
        metavar="STATE",
        help="only sessions in this state, as the column STATE has it, or live, or ended; several with commas",
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="only sessions of this model, by its whole name"
    )
    parser.add_argument(
        "--sort",
        default="",
        metavar="BY",
        help="live, newest, oldest, updated, name, model or loss (default: live, then the newest)",
    )
    parser.add_argument(
        "--limit",
        type=whole_number(1),
        metavar="NUMBER",
        help="print at most so many, and say if there are more (default: all)",
    )
    add_since(parser, "sessions that were heard of")
    _add_actions(parser)
    add_json(parser, 'the sessions as the API describes them, {"sessions": [...], "more": false},')


def _add_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(
        dest="action", metavar="[ACTION]", title="more than a list", help="one of"
    )
    for name, module, summary in ACTIONS:
        action = actions.add_parser(
            name,
            help=f"{summary}: `trainbridge sessions {name} --help`",
            description=f"{summary[0].upper()}{summary[1:]}.",
            allow_abbrev=False,
        )
        module.add_arguments(action)
        action.set_defaults(run_action=module.run)


def run(arguments: argparse.Namespace) -> int:
    """Print the sessions of a bridge, one line each or as one JSON object; or delete some."""
    if arguments.action:
        status: int = arguments.run_action(arguments)
        return status
    client = bridge_client(arguments)
    search = {name: getattr(arguments, name) for name in SEARCH}
    found = _recent(client.sessions(**search, sort=arguments.sort), arguments.since)
    listed = list(itertools.islice(found, arguments.limit))
    has_more = next(found, None) is not None
    if arguments.json:
        sessions = [record_json(session) for session in listed]
        sys.stdout.write(json.dumps({"sessions": sessions, "more": has_more}, indent=2) + "\n")
        return DONE
    if not listed:
        sys.stdout.write(_nothing(client, is_search=any((*search.values(), arguments.since))))
        return DONE
    now = time.time()
    sys.stdout.write(table([COLUMNS, *(_row(session, now) for session in listed)]))
    if has_more:
        sys.stdout.flush()
        sys.stderr.write(f"{len(listed)} of more sessions; without --limit all are listed\n")
    return DONE


def _recent(sessions: Iterable[SessionSummary], since: float | None) -> Iterator[SessionSummary]:
    return (one for one in sessions if since is None or one.updated_at >= since)


def _nothing(client: BridgeClient, *, is_search: bool) -> str:
    if not is_search:
        return f"No sessions on the bridge at {client.url}.\n"
    return f"No session on the bridge at {client.url} matches; `trainbridge sessions` alone lists all.\n"


def _row(session: SessionSummary, now: float) -> tuple[str, ...]:
    return (
        session.session_id,
        session.state,
        "yes" if session.connected else "no",
        str(session.attempt),
        _epoch(session),
        "-" if session.batch is None else str(session.batch),
        "-" if session.step is None else str(session.step),
        number(session.loss),
        age(now - session.updated_at),
    )


def _epoch(session: SessionSummary) -> str:
    if session.epoch is None:
        return "-"
    return f"{session.epoch}/{session.total_epochs}" if session.total_epochs else f"{session.epoch}"
