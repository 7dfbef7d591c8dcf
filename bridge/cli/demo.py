"""`trainbridge demo`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Offer what a demo can be told."""
    parser.add_argument(
        "--exit",
        action="store_true",
        help="end by itself, with a summary that has been checked (default: serve on until Ctrl-C)",
    )
    parser.add_argument(
        "--epochs",
        type=_count,
        default=6,
        metavar="NUMBER",
        help="epochs to train (default: %(default)s)",
    )
    parser.add_argument(
        "--grpc-address",
        default="127.0.0.1:50051",
        metavar="HOST:PORT",
        help="where the training connects; port 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--http-address",
        default="127.0.0.1:8080",
        metavar="HOST:PORT",
        help="where the pages are; port 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--state",
        metavar="FOLDER",
        help="keep everything in this folder (default: a temporary one)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, show, and return the exit status."""
    # What a demo needs takes long to import, and only the extra [demo] brings it.
    from bridge.demo import run as train  # noqa: PLC0415

    return train(
        exit_when_done=arguments.exit,
        epochs=arguments.epochs,
        grpc_address=arguments.grpc_address,
        http_address=arguments.http_address,
        state=arguments.state,
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
