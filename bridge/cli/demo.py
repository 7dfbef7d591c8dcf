"""`trainbridge demo`."""

import argparse
import sys
from typing import TYPE_CHECKING

from bridge.cli.arguments import add_bridge, chosen_token, chosen_url, unusable
from bridge.cli.parsing import listen_address, whole_number
from bridge.demo.mishaps import MISHAP_EPOCHS, Mishaps
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.demo.bridge_process import RunningBridge

EPOCHS = 40
HANG_EPOCH = 2
DIVERGE_EPOCH = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `demo`."""
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--exit",
        action="store_true",
        help="exit after one run, with a summary that has been checked (default: one run after the other until Ctrl-C)",
    )
    way.add_argument(
        "--hang",
        type=whole_number(1),
        nargs="?",
        const=HANG_EPOCH,
        default=0,
        metavar="EPOCH",
        help="let the first run hang in an epoch, as in a collective operation, so that there is something to alert on"
        " (default without an epoch: %(const)s)",
    )
    way.add_argument(
        "--diverge",
        type=whole_number(1),
        nargs="?",
        const=DIVERGE_EPOCH,
        default=0,
        metavar="EPOCH",
        help="let the loss of the first run jump in an epoch and stay high, as with too high a learning rate"
        " (default without an epoch: %(const)s)",
    )
    parser.add_argument(
        "--spike-every",
        type=whole_number(0),
        default=MISHAP_EPOCHS,
        metavar="EPOCHS",
        help="let the loss jump for a few batches in every so many epochs; 0: never (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=whole_number(1),
        default=EPOCHS,
        metavar="NUMBER",
        help="epochs of a run, about three seconds each (default: %(default)s)",
    )
    parser.add_argument(
        "--grpc-address",
        type=listen_address("127.0.0.1:50051"),
        default="127.0.0.1:50051",
        metavar="HOST:PORT",
        help="where the training connects; port 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--http-address",
        type=listen_address("127.0.0.1:8080"),
        default="127.0.0.1:8080",
        metavar="HOST:PORT",
        help="where the pages are; port 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--state",
        metavar="FOLDER",
        help="keep everything in this folder (default: a temporary one, which goes with the demo)",
    )
    parser.add_argument(
        "--address",
        type=listen_address("127.0.0.1:50051"),
        metavar="HOST:PORT",
        help="stream to the bridge that takes telemetry here, instead of starting one",
    )
    add_bridge(parser, "--bridge-url")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo, and return its exit status."""
    address = arguments.address
    if address and arguments.state:
        raise BridgeError(
            "--state is for the demo's own bridge, and with --address it starts none: leave one of the two out"
        )
    if arguments.url and not address:
        raise BridgeError(
            "--url is where the pages of the bridge at --address are: give --address, too, or leave it out"
        )
    if arguments.token_file and not address:
        raise BridgeError(
            "--token-file is for the bridge at --address, and the demo's own asks for none: give --address, too, or"
            " leave it out"
        )
    if arguments.ca_file and not address:
        raise BridgeError(
            "--ca-file is for the bridge at --address, and the demo's own has no TLS: give --address, too, or leave it out"
        )
    for flag, epoch in (("--hang", arguments.hang), ("--diverge", arguments.diverge)):
        if epoch > arguments.epochs:
            raise BridgeError(
                f"{flag} {epoch} is after the last epoch of a run: give one from 1 to {arguments.epochs}, or more --epochs"
            )
    # The demo's libraries take seconds to import, and only the extra [demo] brings them.
    sys.stdout.write("Loading the digits and the network ...\n")
    sys.stdout.flush()
    from bridge.demo.show import run as train  # noqa: PLC0415

    return train(
        exit_when_done=arguments.exit,
        epochs=arguments.epochs,
        grpc_address=arguments.grpc_address,
        http_address=arguments.http_address,
        state=arguments.state,
        running=_running(arguments) if address else None,
        mishaps=Mishaps(
            spike_every=arguments.spike_every,
            hang_epoch=arguments.hang,
            diverge_epoch=arguments.diverge,
        ),
    )


def _running(arguments: argparse.Namespace) -> "RunningBridge":
    """Return the bridge to stream to; raises SettingError for a token that cannot be used."""
    from bridge.client.token_source import token_source  # noqa: PLC0415
    from bridge.demo.bridge_process import RunningBridge  # noqa: PLC0415

    token, token_file = chosen_token(arguments)
    try:
        token_source(token, token_file)
    except (ValueError, OSError) as error:
        raise unusable(error) from error
    return RunningBridge(
        arguments.address,
        chosen_url(arguments.url),
        token=token,
        token_file=token_file,
        ca_file=arguments.ca_file or "",
    )
