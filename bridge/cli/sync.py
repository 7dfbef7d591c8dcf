"""`trainbridge sync`."""

import argparse
from pathlib import Path

from bridge.cli.arguments import add_json, add_token_file
from bridge.cli.parsing import positive_number

CONNECTION = (
    (
        "--address",
        "HOST:PORT",
        "the bridge, as TrainingSession takes it (default: 127.0.0.1:50051) [TRAINBRIDGE_ADDRESS]",
    ),
    (
        "--ca-file",
        "FILE",
        "certificates that vouch for the bridge; means TLS [TRAINBRIDGE_CA_FILE]",
    ),
    ("--cert-file", "FILE", "our own certificate, for mutual TLS [TRAINBRIDGE_CERT_FILE]"),
    ("--key-file", "FILE", "its key [TRAINBRIDGE_KEY_FILE]"),
    (
        "--token",
        "TOKEN",
        "better --token-file: everybody on the machine sees the arguments of a program [TRAINBRIDGE_TOKEN]",
    ),
)
"""How the bridge is reached: flag, metavar, help; what is not given is read from the variable."""


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add how the bridge is reached, and who asks."""
    for flag, metavar, meaning in CONNECTION:
        parser.add_argument(flag, default="", metavar=metavar, help=meaning)
    add_token_file(parser, default="")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sync`."""
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="the spool_dir of the training processes, or the folder of one session in it",
    )
    add_connection(parser)
    parser.add_argument(
        "--as",
        dest="session_id",
        nargs="?",
        const="",
        metavar="NAME",
        help="deliver one session as a session of its own, of this name (default: its old name,"
        " -recovered- and a part of its instance id)",
    )
    parser.add_argument(
        "--patience",
        type=positive_number,
        default=30.0,
        metavar="SECONDS",
        help="give up after so long without progress (default: %(default)g)",
    )
    add_json(parser, "one object a line, for each session,")


def run(arguments: argparse.Namespace) -> int:
    """Deliver what training processes have left, and return the exit status."""
    # The SDK imports gRPC, which no other command has to wait for.
    from bridge.cli.sync_output import deliver_all  # noqa: PLC0415

    return deliver_all(arguments)
