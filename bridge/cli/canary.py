"""`trainbridge canary`."""

import argparse
import json
import logging
import math
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar

from bridge.addresses import check_url, split_address, url_of
from bridge.errors import SettingError

log = logging.getLogger("bridge")

Value = TypeVar("Value")

RUN_SECONDS = 600
"""A run takes so long unless its length is told: longer than a session usually lingers after its end."""

SHORTEST_RUN_SECONDS = 10
"""A canary that begins a session more often would crowd the bridge with its own."""

LONGEST_RUN_BATCHES = 100_000
"""What is known of each batch stays in memory until its run is over."""

MOST_IMAGES = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Offer what a canary can be told."""
    parser.add_argument("--address", default="", metavar="HOST:PORT",
                        help="where the bridge takes telemetry (default: 127.0.0.1:50051) [TRAINBRIDGE_ADDRESS]")  # fmt: skip
    parser.add_argument("--bridge-url", type=_url, default=_default_url(), metavar="URL",
                        help="where its pages and /metrics are (default: %(default)s) [TRAINBRIDGE_URL]")  # fmt: skip
    parser.add_argument("--listen", type=_address, default="127.0.0.1:9464", metavar="HOST:PORT",
                        help="where the canary serves its own /metrics; port 0 takes a free one (default: %(default)s)")  # fmt: skip
    parser.add_argument("--rate", type=_positive, default=1.0, metavar="NUMBER",
                        help="batches a second (default: %(default)g)")  # fmt: skip
    parser.add_argument("--images", type=_images, default=1, metavar="NUMBER",
                        help="images in every fifth batch, 0 to 16 (default: %(default)s)")  # fmt: skip
    parser.add_argument("--run-batches", type=_batches, metavar="NUMBER",
                        help="batches of a run, after which its session ends and the next one begins; "
                        "rounded to whole epochs of 20 (default: ten minutes of them)")  # fmt: skip
    parser.add_argument("--late-seconds", type=_positive, default=5.0, metavar="SECONDS",
                        help="what shows later than this is late, what does not within three times as long is missing "
                        "(default: %(default)g)")  # fmt: skip
    parser.add_argument("--look-seconds", type=_positive, default=2.0, metavar="SECONDS",
                        help="how often the bridge's /metrics is read (default: %(default)g)")  # fmt: skip
    parser.add_argument("--ports-file", type=Path, metavar="FILE",
                        help='a file to write {"http": port} to as soon as the canary sings')  # fmt: skip
    parser.add_argument("--duration-seconds", type=_positive, metavar="SECONDS",
                        help="end after this time, with exit status 1 if anything was wrong (default: go on for ever)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Sing, and return the exit status; raises SettingError for arguments that make no sense together."""
    # The page needs prometheus_client, which only the extra [server] brings.
    from bridge import canary, logs  # noqa: PLC0415

    _check_destination(arguments.address)
    plan = canary.Plan(
        address=arguments.address,
        bridge_url=arguments.bridge_url,
        batches_per_second=arguments.rate,
        images=arguments.images,
        run_batches=_run_batches(arguments.run_batches, arguments.rate),
        late_seconds=arguments.late_seconds,
        look_seconds=arguments.look_seconds,
        duration_seconds=arguments.duration_seconds,
    )
    logs.configure()
    # gRPC's C code would write lines of its own between ours; what goes wrong is logged anyway.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    stopping = _stopped_by_signals()
    page = canary.Page()
    with canary.serving(page, arguments.listen) as listening:
        log.info("ready", extra={"fields": {"http": listening, "bridge": plan.bridge_url}})
        if arguments.ports_file is not None:
            _write_port(listening, arguments.ports_file)
        is_well = canary.watch(plan, page, stopping)
    log.info("over", extra={"fields": {"findings": page.findings}})
    return 0 if is_well or arguments.duration_seconds is None else 1


def _run_batches(told: int | None, rate: float) -> int:
    """Return how long a run is; a short one must last long enough."""
    if told is None:
        return min(LONGEST_RUN_BATCHES, max(1, round(rate * RUN_SECONDS)))
    if told / rate < SHORTEST_RUN_SECONDS:
        least = math.ceil(rate * SHORTEST_RUN_SECONDS)
        raise SettingError(
            f"--run-batches: {told} at --rate {rate:g} would make more sessions than a bridge should be bothered with;"
            f" give at least {least}"
        )
    return told


def _check_destination(address: str) -> None:
    """Raise SettingError for an address that is none, and for credential files that cannot be read."""
    from bridge.client.settings import destination  # noqa: PLC0415 -- the SDK imports gRPC

    try:
        destination(address)
    except (ValueError, OSError) as error:
        raise SettingError(str(error)) from error


def _stopped_by_signals() -> threading.Event:
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def _write_port(address: str, ports_file: Path) -> None:
    """Write the file in one step, so that nobody reads half of it."""
    unfinished = ports_file.with_name(f"{ports_file.name}.{os.getpid()}")
    unfinished.write_text(json.dumps({"http": split_address(address)[1]}) + "\n")
    unfinished.replace(ports_file)


def _default_url() -> str:
    told = os.environ.get("TRAINBRIDGE_URL")
    return told or url_of(os.environ.get("TRAINBRIDGE_HTTP_ADDRESS") or "127.0.0.1:8080")


def _url(text: str) -> str:
    return _checked(check_url, text, "a URL such as http://127.0.0.1:8080")


def _address(text: str) -> str:
    _checked(split_address, text, "host:port, such as 127.0.0.1:9464")
    return text


def _images(text: str) -> int:
    return _between(_checked(int, text, "a whole number"), MOST_IMAGES, least=0)


def _batches(text: str) -> int:
    return _between(_checked(int, text, "a whole number"), LONGEST_RUN_BATCHES, least=1)


def _positive(text: str) -> float:
    number = _checked(float, text, "a number above 0")
    if not (0 < number < math.inf):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def _between(number: int, highest: int, *, least: int) -> int:
    if not least <= number <= highest:
        raise argparse.ArgumentTypeError(f"a whole number from {least} to {highest}")
    return number


def _checked(read: Callable[[str], Value], text: str, right: str) -> Value:
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} makes no sense: give {right}") from error
