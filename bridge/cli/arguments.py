"""What several commands take and write: the URL of a bridge, and the file with the ports taken."""

import argparse
import json
import os
from pathlib import Path

from bridge.addresses import url_of
from bridge.cli.parsing import http_url
from bridge.errors import SettingError


def add_url(parser: argparse.ArgumentParser, *aliases: str, default: str | None = None) -> None:
    """Add the URL at which the pages and the API of a bridge are; `aliases` are names of the flag that it had before."""
    parser.add_argument(
        "--url",
        *aliases,
        dest="url",
        default=default,
        type=http_url,
        metavar="URL",
        help=f"where the bridge serves its pages (default: {_shown_default()}) [TRAINBRIDGE_URL]",
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the flag for scripts."""
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON, for scripts")


def add_action_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the flags of an action of `sessions`; one that was given before the action keeps its value."""
    add_url(parser, default=argparse.SUPPRESS)
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help=f"print {what} as JSON, for scripts",
    )


def chosen_url(url: str | None) -> str:
    """Return the URL given, else the one of the environment; raises SettingError for an invalid variable."""
    return url or default_url()


def default_url() -> str:
    """Return TRAINBRIDGE_URL, else where a bridge with this environment serves its pages.

    Raises SettingError, with the variable's name, for a value that is not a URL or an address.
    """
    url = os.environ.get("TRAINBRIDGE_URL")
    if url:
        try:
            return http_url(url)
        except argparse.ArgumentTypeError as error:
            raise SettingError(f"TRAINBRIDGE_URL: {error}") from error
    address = os.environ.get("TRAINBRIDGE_HTTP_ADDRESS") or "127.0.0.1:8080"
    try:
        return url_of(address)
    except ValueError as error:
        raise SettingError(
            f"TRAINBRIDGE_HTTP_ADDRESS: invalid value {address!r}: give host:port, such as 127.0.0.1:8080,"
            " or set TRAINBRIDGE_URL"
        ) from error


def write_ports_file(path: Path, **ports: int) -> None:
    """Write the file in one step, so that nobody reads half of it; raises SettingError if it cannot be written."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(ports) + "\n")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise SettingError(
            f"--ports-file: {path} cannot be written: {error.strerror}; give a file in a folder that exists"
            " and can be written to"
        ) from error


def _shown_default() -> str:
    """Return the default as the help shows it, also where a variable is invalid."""
    try:
        return default_url().replace("%", "%%")
    except SettingError:
        return "none: the variable is invalid"
