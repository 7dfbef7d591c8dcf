"""`trainbridge check-config`."""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.cli import serving
from bridge.cli.exit_status import DONE, FAILED

if TYPE_CHECKING:
    from bridge.config import Loaded
    from bridge.connections import ConnectionCheck


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting, and for what is done with them."""
    serving.add_arguments(parser)
    section = parser.add_argument_group("What is checked")
    section.add_argument(
        "--connect",
        action="store_true",
        help="also try the state folder, the object store, the OTLP endpoint and the issuer of tokens; exit status 1 if one does not work",
    )
    section.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Print every setting with its origin, and try every connection where asked to.

    Raises SettingError for invalid settings.
    """
    # The settings come with the [server] extra; the other commands do without.
    from bridge.cli.flags import given  # noqa: PLC0415
    from bridge.config import load  # noqa: PLC0415

    loaded = load(given(arguments))
    loaded = _with_access(loaded)
    _check_certificates(loaded)
    if not arguments.json:
        _print_settings(loaded)
    checks = _connect(loaded, is_silent=arguments.json) if arguments.connect else ()
    if arguments.json:
        _print_json(loaded, checks)
    return FAILED if any(check.error for check in checks) else DONE


def _with_access(loaded: "Loaded") -> "Loaded":
    """Return the settings, with warnings of what is weak in the tokens file.

    Raises SettingError for a file of tokens or rules that a bridge would not start with.
    """
    from bridge.access.tokens import read_tokens  # noqa: PLC0415
    from bridge.access.weaknesses import weaknesses  # noqa: PLC0415
    from bridge.authenticators import doors  # noqa: PLC0415
    from bridge.telemetry import Telemetry  # noqa: PLC0415

    doors(loaded.settings, Telemetry())
    file = loaded.settings.tokens_file
    found = () if file is None else tuple(weaknesses(read_tokens(file), time.time()))
    return replace(loaded, warnings=(*loaded.warnings, *(f"tokens_file: {one}" for one in found)))


def _check_certificates(loaded: "Loaded") -> None:
    """Raise SettingError for certificates that a bridge would not start with."""
    from bridge.encryption import grpc_certificates, http_tls  # noqa: PLC0415
    from bridge.telemetry import Telemetry  # noqa: PLC0415

    serving.silence_grpc()
    http_tls(loaded.settings, Telemetry())
    certificates = grpc_certificates(loaded.settings, Telemetry())
    if certificates is not None:
        certificates.credentials()


def _connect(loaded: "Loaded", *, is_silent: bool) -> "tuple[ConnectionCheck, ...]":
    from bridge.authenticators import issuer_connections  # noqa: PLC0415
    from bridge.connections import check_all  # noqa: PLC0415
    from bridge.outputs import connections  # noqa: PLC0415

    def show(check: "ConnectionCheck") -> None:
        if not is_silent:
            sys.stdout.write(f"connection {check.name} ({check.target}): {check.result}\n")
            sys.stdout.flush()

    sys.stdout.flush()
    serving.silence_grpc()
    found = (*connections(loaded.settings), *issuer_connections(loaded.settings))
    return asyncio.run(check_all(found, on_checked=show))


def _print_settings(loaded: "Loaded") -> None:
    from bridge.config.sources import rows  # noqa: PLC0415

    table = [("setting", "value", "from"), *rows(loaded)]
    names, values = (max(len(row[column]) for row in table) for column in (0, 1))
    for name, value, origin in table:
        sys.stdout.write(f"{name:<{names}}  {value:<{values}}  {origin}\n")
    for warning in loaded.warnings:
        sys.stdout.write(f"warning: {warning}\n")


def _print_json(loaded: "Loaded", checks: "tuple[ConnectionCheck, ...]") -> None:
    from bridge.config.sources import rows  # noqa: PLC0415

    settings = [dict(zip(("name", "value", "from"), row, strict=True)) for row in rows(loaded)]
    connections = [
        {"name": check.name, "target": check.target, "error": check.error} for check in checks
    ]
    content = {
        "settings": settings,
        "warnings": list(loaded.warnings),
        "connections": connections,
    }
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
