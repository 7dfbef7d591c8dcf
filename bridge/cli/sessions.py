"""`trainbridge sessions`."""

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bridge.cli import delete_sessions
from bridge.cli.arguments import add_json, add_url, chosen_url
from bridge.cli.exit_status import DONE
from bridge.cli.parsing import whole_number
from bridge.client.query import BridgeClient
from bridge.client.query_types import SessionSummary

COLUMNS = (
    *("SESSION", "STATE", "CONNECTED", "ATTEMPT"),
    *("EPOCH", "BATCH", "STEP", "LOSS", "LAST MESSAGE"),
)
SEARCH = ("query", "status", "model")
AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (0, "s"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sessions`."""
    add_url(parser)
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
    _add_delete(parser)
    add_json(parser, 'the sessions as the API describes them, {"sessions": [...], "more": false},')


def _add_delete(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="[delete]", title="delete sessions")
    delete = actions.add_parser(
        "delete",
        help="delete sessions that have ended: `trainbridge sessions delete --help`",
        description="Delete sessions that have ended, for good.",
        allow_abbrev=False,
    )
    delete_sessions.add_arguments(delete)


def run(arguments: argparse.Namespace) -> int:
    """Print the sessions of a bridge, one line each or as one JSON object; or delete some."""
    if arguments.action == "delete":
        return delete_sessions.run(arguments)
    client = BridgeClient(chosen_url(arguments.url))
    search = {name: getattr(arguments, name) for name in SEARCH}
    found = client.sessions(**search, sort=arguments.sort)
    listed = list(itertools.islice(found, arguments.limit))
    has_more = next(found, None) is not None
    if arguments.json:
        sessions = [_json(session) for session in listed]
        sys.stdout.write(json.dumps({"sessions": sessions, "more": has_more}, indent=2) + "\n")
        return DONE
    if not listed:
        sys.stdout.write(_nothing(client, is_search=any(search.values())))
        return DONE
    now = time.time()
    _print_table([COLUMNS, *(_row(session, now) for session in listed)])
    if has_more:
        sys.stdout.flush()
        sys.stderr.write(f"{len(listed)} of more sessions; without --limit all are listed\n")
    return DONE


def _json(session: SessionSummary) -> dict[str, Any]:
    """Return a session as the API describes it, which spells out numbers that JSON does not have."""
    return {
        name: json.dumps(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(session).items()
    }


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
        _number(session.loss),
        _age(now - session.updated_at),
    )


def _epoch(session: SessionSummary) -> str:
    if session.epoch is None:
        return "-"
    return f"{session.epoch}/{session.total_epochs}" if session.total_epochs else f"{session.epoch}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else json.dumps(value)


def _age(seconds: float) -> str:
    """Return how long ago something was, in its largest unit."""
    whole = max(0, int(seconds))
    length, unit = next(each for each in AGES if whole >= each[0])
    return f"{whole // length if length else whole} {unit} ago"


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
