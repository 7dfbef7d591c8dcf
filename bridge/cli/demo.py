"""`trainbridge demo`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `demo`."""
    parser.add_argument(
        "--exit",
        action="store_true",
        help="exit after training, with a summary that has been checked (default: keep serving until Ctrl-C)",
    )
    parser.add_argument(
        "--epochs",
        type=_epochs,
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
    """Run the demo, and return its exit status."""
    # The demo's libraries take long to import, and only the extra [demo] brings them.
    from bridge.demo import run as train  # noqa: PLC0415

    return train(
        exit_when_done=arguments.exit,
        epochs=arguments.epochs,
        grpc_address=arguments.grpc_address,
        http_address=arguments.http_address,
        state=arguments.state,
    )


def _epochs(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
