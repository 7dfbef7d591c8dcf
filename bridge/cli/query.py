"""Commands that ask a running bridge: `sessions`, `command` and `healthcheck`."""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from bridge.addresses import check_url, url_of
from bridge.errors import BridgeError
from bridge.model import CommandType

TIMEOUT_SECONDS = 10.0

ORDERS: Mapping[str, CommandType] = {
    "pause": CommandType.PAUSE_TRAINING,
    "resume": CommandType.RESUME_TRAINING,
    "stop": CommandType.STOP_TRAINING,
    "adjust-batch-size": CommandType.ADJUST_BATCH_SIZE,
    "change-learning-rate": CommandType.CHANGE_LEARNING_RATE,
    "save-checkpoint": CommandType.SAVE_CHECKPOINT,
}

COLUMNS: Mapping[str, str] = {
    "session_id": "SESSION",
    "status": "STATUS",
    "connected": "CONNECTED",
    "epoch": "EPOCH",
    "batch": "BATCH",
    "loss": "LOSS",
}


def add_sessions_arguments(parser: argparse.ArgumentParser) -> None:
    """Offer what `sessions` can be told."""
    _add_url(parser)
    parser.add_argument(
        "--json", action="store_true", help="print what the API answers (default: a table)"
    )


def add_command_arguments(parser: argparse.ArgumentParser) -> None:
    """Offer what `command` can be told."""
    parser.add_argument("type", choices=list(ORDERS), metavar="TYPE", help=", ".join(ORDERS))
    parser.add_argument(
        "session", metavar="SESSION", help="the session's id, as `trainbridge sessions` lists it"
    )
    parser.add_argument("--set", action="append", default=[], type=_pair, dest="parameters", metavar="NAME=VALUE",
                        help="a parameter of the order, such as batch_size=64 or learning_rate=0.001; may be repeated")  # fmt: skip
    _add_url(parser)


def add_healthcheck_arguments(parser: argparse.ArgumentParser) -> None:
    """Offer what `healthcheck` can be told."""
    _add_url(parser)


def sessions(arguments: argparse.Namespace) -> int:
    """Print the sessions of a bridge, one line each."""
    answer = _ask(arguments.url, "/api/v1/sessions")
    if arguments.json:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return 0
    rows = [_row(session) for session in answer["sessions"]]
    if not rows:
        sys.stdout.write("No training session is known to this bridge.\n")
        return 0
    _print_table([tuple(COLUMNS.values()), *rows])
    return 0


def command(arguments: argparse.Namespace) -> int:
    """Give an order, and print what became of it so far."""
    path = f"/api/v1/sessions/{quote(arguments.session, safe='')}/commands"
    order = {"type": ORDERS[arguments.type].name, "parameters": dict(arguments.parameters)}
    answer = _ask(arguments.url, path, order)
    state = answer.get("state", "queued")
    sys.stdout.write(
        f"{arguments.type} {state} for {arguments.session}; watch it at {arguments.url}/sessions/{quote(arguments.session)}\n"
    )
    return 0


def healthcheck(arguments: argparse.Namespace) -> int:
    """Succeed when the bridge says that it is ready."""
    _fetch(urllib.request.Request(f"{arguments.url}/readyz"), arguments.url)  # noqa: S310 -- _url allows http and https only
    sys.stdout.write("ready\n")
    return 0


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", type=_url, default=_default_url(), metavar="URL",
                        help="where the bridge is (default: %(default)s) [TRAINBRIDGE_URL]")  # fmt: skip


def _default_url() -> str:
    """Return TRAINBRIDGE_URL, else where a bridge with this environment serves its pages."""
    told = os.environ.get("TRAINBRIDGE_URL")
    return told or url_of(os.environ.get("TRAINBRIDGE_HTTP_ADDRESS") or "127.0.0.1:8080")


def _url(text: str) -> str:
    try:
        return check_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{error}: give a URL such as http://127.0.0.1:8080"
        ) from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _ask(url: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 -- _url allows http and https only
        url + path, data, {"Accept": "application/json", "Content-Type": "application/json"}
    )
    try:
        answer = json.loads(_fetch(request, url))
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise BridgeError(f"what answers at {url} is no bridge")
    return answer


def _fetch(request: urllib.request.Request, url: str) -> bytes:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        with error:
            raise BridgeError(_refusal(error)) from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise BridgeError(f"no bridge answers at {url}: {reason}") from error


def _refusal(error: urllib.error.HTTPError) -> str:
    """Return the text of an RFC 9457 problem, or as much of the answer as one line holds."""
    content = error.read(10_000).decode(errors="replace")
    try:
        problem = json.loads(content)
        text = str(problem.get("detail") or problem.get("title") or "")
    except (ValueError, AttributeError):
        text = content.strip().partition("\n")[0][:200]
    return f"the bridge answered {error.code}: {text or error.reason}"


def _row(session: Mapping[str, Any]) -> tuple[str, ...]:
    planned = session.get("epochs_planned")
    cells = {
        **session,
        "connected": "yes" if session.get("connected") else "no",
        "epoch": f"{session.get('epoch')}/{planned}" if planned else session.get("epoch"),
        "status": session.get("phase") if session.get("phase") == "lost" else session.get("status"),
    }
    return tuple(_cell(cells.get(name)) for name in COLUMNS)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
