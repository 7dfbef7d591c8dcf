"""`trainbridge sync`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Offer what `sync` can be told."""
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="the spool_dir of the training processes, or the folder of one session in it",
    )
    parser.add_argument("--address", default="", metavar="HOST:PORT",
                        help="the bridge, as TrainingSession takes it (default: 127.0.0.1:50051) [TRAINBRIDGE_ADDRESS]")  # fmt: skip  # the flag, then its help
    parser.add_argument("--ca-file", default="", metavar="FILE",
                        help="certificates that vouch for the bridge; means TLS [TRAINBRIDGE_CA_FILE]")  # fmt: skip  # the flag, then its help
    parser.add_argument("--cert-file", default="", metavar="FILE",
                        help="our own certificate, where one is asked for [TRAINBRIDGE_CERT_FILE]")  # fmt: skip  # the flag, then its help
    parser.add_argument("--key-file", default="", metavar="FILE",
                        help="its key [TRAINBRIDGE_KEY_FILE]")  # fmt: skip  # the flag, then its help
    parser.add_argument("--token", default="", metavar="TOKEN",
                        help="better not here, where others can see it [TRAINBRIDGE_TOKEN, TRAINBRIDGE_TOKEN_FILE]")  # fmt: skip  # the flag, then its help
    parser.add_argument("--as", dest="session_id", nargs="?", const="", default=None, metavar="NAME",
                        help="deliver one session as a session of its own, of this name (default: its old name, -recovered- and a part of its instance id)")  # fmt: skip  # the flag, then its help
    parser.add_argument("--patience", type=float, default=30.0, metavar="SECONDS",
                        help="give up when nothing has moved for so long (default: %(default)g)")  # fmt: skip  # the flag, then its help


def run(arguments: argparse.Namespace) -> int:
    """Deliver what has been left, and return the exit status."""
    # The SDK brings gRPC along, which no other command has to wait for.
    from bridge.cli.sync_output import deliver_all  # noqa: PLC0415

    return deliver_all(arguments)
