"""`trainbridge canary`."""

import argparse
import logging
import math
import os
import signal
import threading
from pathlib import Path
from types import FrameType

from bridge.addresses import split_address
from bridge.cli.arguments import add_bridge, chosen_token, chosen_url, unusable, write_ports_file
from bridge.cli.parsing import listen_address, positive_number, whole_number
from bridge.errors import SettingError

log = logging.getLogger("bridge")

RUN_SECONDS = 600
"""Length of a run by default: longer than a session usually lingers after its end."""

SHORTEST_RUN_SECONDS = 10
"""A canary that begins sessions more often would crowd the bridge with them."""

LONGEST_RUN_BATCHES = 100_000
"""What is known of each batch stays in memory until its run is over."""

MOST_IMAGES = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `canary`."""
    parser.add_argument(
        "--address",
        default="",
        metavar="HOST:PORT",
        help="where the bridge takes telemetry (default: 127.0.0.1:50051) [TRAINBRIDGE_ADDRESS]",
    )
    add_bridge(parser, "--bridge-url")
    parser.add_argument(
        "--listen",
        type=listen_address("127.0.0.1:9464"),
        default="127.0.0.1:9464",
        metavar="HOST:PORT",
        help="where the canary serves its own /metrics; port 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=positive_number,
        default=1.0,
        metavar="NUMBER",
        help="batches per second (default: %(default)g)",
    )
    parser.add_argument(
        "--images",
        type=whole_number(0, MOST_IMAGES),
        default=1,
        metavar="NUMBER",
        help="images in every fifth batch, 0 to 16 (default: %(default)s)",
    )
    parser.add_argument(
        "--run-batches",
        type=whole_number(1, LONGEST_RUN_BATCHES),
        metavar="NUMBER",
        help="batches of a run, after which its session ends and the next one begins; "
        "rounded to whole epochs of 20 (default: ten minutes of them)",
    )
    parser.add_argument(
        "--late-seconds",
        type=positive_number,
        default=5.0,
        metavar="SECONDS",
        help="what appears later than this is late, what does not within three times as long is missing "
        "(default: %(default)g)",
    )
    parser.add_argument(
        "--look-seconds",
        type=positive_number,
        default=2.0,
        metavar="SECONDS",
        help="how often the bridge's /metrics is read (default: %(default)g)",
    )
    parser.add_argument(
        "--store-seconds",
        type=positive_number,
        metavar="SECONDS",
        help="at the end of a run, wait so long for its images to lie in the object store, and read them back from there;"
        " shards are closed after 30 s (default: do not look)",
    )
    parser.add_argument(
        "--ports-file",
        type=Path,
        metavar="FILE",
        help='a file to write {"http": port} to as soon as the canary serves its /metrics',
    )
    parser.add_argument(
        "--duration-seconds",
        type=positive_number,
        metavar="SECONDS",
        help="end after this time, with exit status 1 if anything was wrong (default: run without end)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the canary, and return the exit status; raises SettingError for arguments that do not fit together."""
    # The canary needs prometheus_client, which only the extra [server] brings.
    from bridge import canary, logs  # noqa: PLC0415

    token, token_file = chosen_token(arguments)
    ca_file = arguments.ca_file or ""
    _check_destination(arguments.address, token, token_file, ca_file)
    options = canary.CanaryOptions(
        address=arguments.address,
        bridge_url=chosen_url(arguments.url),
        batches_per_second=arguments.rate,
        images=arguments.images,
        run_batches=_run_batches(arguments.run_batches, arguments.rate),
        late_seconds=arguments.late_seconds,
        look_seconds=arguments.look_seconds,
        duration_seconds=arguments.duration_seconds,
        store_seconds=arguments.store_seconds,
        token=token,
        token_file=token_file,
        ca_file=ca_file,
    )
    logs.configure()
    # gRPC's C core would write lines of its own between ours; errors are logged anyway.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    stopping = _set_by_signals()
    page = canary.Page()
    with canary.serving(page, arguments.listen) as listening:
        log.info("ready", extra={"fields": {"http": listening, "bridge": options.bridge_url}})
        if arguments.ports_file is not None:
            write_ports_file(arguments.ports_file, http=split_address(listening)[1])
        is_well = canary.watch(options, page, stopping)
    log.info("over", extra={"fields": {"findings": page.findings}})
    return 0 if is_well or arguments.duration_seconds is None else 1


def _run_batches(batches: int | None, rate: float) -> int:
    """Return the batches of a run; raises SettingError for a run that is too short."""
    if batches is None:
        return min(LONGEST_RUN_BATCHES, max(1, round(rate * RUN_SECONDS)))
    if batches / rate < SHORTEST_RUN_SECONDS:
        least = math.ceil(rate * SHORTEST_RUN_SECONDS)
        raise SettingError(
            f"--run-batches: {batches} at --rate {rate:g} would begin a session more often than every"
            f" {SHORTEST_RUN_SECONDS} seconds; give at least {least}"
        )
    return batches


def _check_destination(address: str, token: str, token_file: str, ca_file: str) -> None:
    """Raise SettingError for an invalid address, and for credential files that cannot be read."""
    from bridge.client.settings import destination  # noqa: PLC0415 -- the SDK imports gRPC

    try:
        destination(address, token=token, token_file=token_file, ca_file=ca_file)
    except (ValueError, OSError) as error:
        raise unusable(error) from error


def _set_by_signals() -> threading.Event:
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping
