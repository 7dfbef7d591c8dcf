"""`trainbridge token list`."""

import argparse
import json
import math
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cli.arguments import add_json
from bridge.cli.exit_status import DONE
from bridge.cli.session_screen import table

if TYPE_CHECKING:
    from bridge.access import Identity

COLUMNS = ("NAME", "ROLES", "SESSIONS", "EXPIRES", "STATE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `token list`."""
    parser.add_argument(
        "--file", type=Path, required=True, metavar="FILE", help="the tokens file of your bridges"
    )
    add_json(parser, "the tokens, and what is weak about them,")


def run(arguments: argparse.Namespace) -> int:
    """Print the tokens of a file, never their hashes; raises SettingError for a file that a bridge does not take."""
    # Tokens files are read with the [server] extra; the other commands do without.
    from bridge.access.tokens import read_tokens  # noqa: PLC0415
    from bridge.access.weaknesses import weaknesses  # noqa: PLC0415

    now = time.time()
    entries = read_tokens(arguments.file)
    weak = tuple(weaknesses(entries, now))
    rows = [row(entry.identity, now) for entry in entries]
    if arguments.json:
        tokens = [dict(zip(map(str.lower, COLUMNS), cells, strict=True)) for cells in rows]
        sys.stdout.write(json.dumps({"tokens": tokens, "weaknesses": weak}, indent=2) + "\n")
        return DONE
    if not rows:
        sys.stdout.write(
            f"No tokens in {arguments.file}; `trainbridge token new NAME --roles ROLES --file {arguments.file}` adds one.\n"
        )
        return DONE
    sys.stdout.write(table([COLUMNS, *rows]))
    sys.stdout.flush()
    for sentence in weak:
        sys.stderr.write(f"warning: {sentence}\n")
    return DONE


def row(identity: "Identity", now: float) -> tuple[str, ...]:
    """Return what is shown of a token."""
    state = "expired" if identity.expires_at <= now else "good"
    roles = ",".join(sorted(identity.roles))
    return identity.name, roles, identity.sessions or "all", expiry(identity.expires_at), state


def expiry(expires_at: float) -> str:
    """Return when a token ends, in UTC, as people read it."""
    if expires_at == math.inf:
        return "never"
    return f"{datetime.fromtimestamp(int(expires_at), UTC):%Y-%m-%d %H:%MZ}"
