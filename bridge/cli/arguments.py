"""What several commands take and write: the bridge they ask, its token, and the file with the ports taken."""

import argparse
import json
import os
import ssl
import sys
from pathlib import Path

from bridge.addresses import url_of
from bridge.cli.parsing import http_url
from bridge.client.credentials import file_content
from bridge.client.query import BridgeClient
from bridge.errors import SettingError

STANDARD_INPUT = "-"

OWN_CERTIFICATE = "TRAINBRIDGE_HTTP_TLS_CERT_FILE"
"""Where a bridge with this environment has its certificate."""

LONGEST_INPUT = 65_536
"""Characters of standard input that are read for a token."""


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


def add_bridge(parser: argparse.ArgumentParser, *aliases: str, default: str | None = None) -> None:
    """Add what commands that ask a bridge take: its URL, who vouches for it, and the file of a token."""
    add_url(parser, *aliases, default=default)
    add_token_file(parser, default=default)
    parser.add_argument(
        "--ca-file",
        default=default,
        metavar="FILE",
        help="certificates that vouch for the bridge, for https:// (default: those of the system) [TRAINBRIDGE_CA_FILE]",
    )


def add_token_file(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Add the file of a token; not a token itself: everybody on the machine sees arguments."""
    parser.add_argument(
        "--token-file",
        default=default,
        metavar="FILE",
        help="a file with the token that the bridge lets this command in for; - reads it from standard input"
        " [TRAINBRIDGE_TOKEN, TRAINBRIDGE_TOKEN_FILE]",
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the flag for scripts."""
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON, for scripts")


def add_action_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the flags of an action of `sessions`; one that was given before the action keeps its value."""
    add_bridge(parser, default=argparse.SUPPRESS)
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help=f"print {what} as JSON, for scripts",
    )


def bridge_client(arguments: argparse.Namespace, *, known_token: str = "") -> BridgeClient:
    """Return what asks the bridge; raises SettingError for a variable or a file that cannot be used.

    A `known_token` takes the place of the one that arguments and environment name.
    """
    token, token_file = (known_token, "") if known_token else chosen_token(arguments)
    url, ca_file = chosen_url(arguments.url), arguments.ca_file or ""
    try:
        return BridgeClient(
            url,
            token=token,
            token_file=token_file,
            ca_file=ca_file,
            ssl_context=None if arguments.url or ca_file else own_context(),
        )
    except (ValueError, OSError) as error:
        raise unusable(error) from error


def unusable(error: ValueError | OSError) -> SettingError:
    """Return the error of what was given of a bridge and its credentials, as one sentence."""
    if isinstance(error, OSError) and error.filename:
        return SettingError(
            f"{error.filename}: {error.strerror}; give a file that is there, and that this user may read"
        )
    return SettingError(str(error))


def chosen_token(arguments: argparse.Namespace) -> tuple[str, str]:
    """Return the token that was given on standard input, and the file that was given, "" for what was not."""
    path = arguments.token_file or ""
    if path != STANDARD_INPUT:
        return "", path
    text = sys.stdin.read(LONGEST_INPUT).strip() if sys.stdin is not None else ""
    if not text:
        raise SettingError(
            "--token-file -: standard input holds no token; write one there, such as with `< FILE`, or name the file"
        )
    return text, ""


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
        return url_of(address, is_secure=bool(os.environ.get(OWN_CERTIFICATE)))
    except ValueError as error:
        raise SettingError(
            f"TRAINBRIDGE_HTTP_ADDRESS: invalid value {address!r}: give host:port, such as 127.0.0.1:8080,"
            " or set TRAINBRIDGE_URL"
        ) from error


def own_context() -> ssl.SSLContext | None:
    """Return what the bridge at `default_url` is trusted by, if that is the one with this environment, as in its container.

    It has just the certificate that the variable names, which may be issued for any name. Raises OSError for a file
    that cannot be read, ValueError for one that holds none.
    """
    path = os.environ.get(OWN_CERTIFICATE)
    if not path or os.environ.get("TRAINBRIDGE_URL"):
        return None
    content = file_content(path, OWN_CERTIFICATE) or b""
    try:
        context = ssl.create_default_context(cadata=content.decode("ascii", errors="replace"))
    except ssl.SSLError:
        raise ValueError(f"{OWN_CERTIFICATE}: {path} holds no certificates in PEM format") from None
    # The certificate itself is trusted, not only an authority that has signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context


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
