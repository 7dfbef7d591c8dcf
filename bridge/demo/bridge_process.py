"""The bridge that a demo streams to: by default the real command in a process of its own."""

import errno
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bridge.addresses import join_address, split_address, url_of
from bridge.client import BridgeClient
from bridge.errors import BridgeError

START_SECONDS = 120.0
STOP_SECONDS = 30.0

IMAGE_BATCHES_PER_SECOND = 0.5
"""A spike of a few batches fits into one window."""

SESSIONS_KEPT = 20
"""Of the runs that are over, in a temporary folder; older ones go with their images, so the demo may run for days."""

WAY_OUT = (
    "stop it, or choose free ports: trainbridge demo --grpc-address 127.0.0.1:0 --http-address 127.0.0.1:0"
    ' (make demo arguments="--grpc-address 127.0.0.1:0 --http-address 127.0.0.1:0")'
)


@dataclass(frozen=True, slots=True)
class RunningBridge:
    """Where a bridge takes telemetry and serves its pages, and its process where that is one of ours."""

    grpc: str
    url: str
    process: "subprocess.Popen[bytes] | None" = None
    log: Path | None = None
    token: str = field(default="", repr=False)
    """For both of its servers; "": that of the environment."""
    token_file: str = ""
    ca_file: str = ""
    """Who vouches for both of its servers, where they speak TLS."""

    @property
    def client(self) -> BridgeClient:
        """What reads them."""
        return BridgeClient(
            self.url,
            token=self.token,
            token_file=self.token_file,
            ca_file=self.ca_file if self.url.startswith("https:") else "",
            timeout_seconds=30,
        )

    def check_alive(self) -> None:
        """Raise BridgeError, with the last error of its log, if it is one of ours and has ended."""
        if self.process and self.log and self.process.poll() is not None:
            raise BridgeError(f"the bridge of the demo has ended: {_last_error(self.log)}")

    def total(self, series: str, **labels: str) -> int:
        """Add up the samples of a series on /metrics that have the labels given."""
        wanted = labels.items()
        families = text_string_to_metric_families(self.client.metrics())
        return int(
            sum(
                sample.value
                for family in families
                for sample in family.samples
                if sample.name == series and wanted <= sample.labels.items()
            )
        )


@contextmanager
def bridge_process(
    grpc_address: str, http_address: str, *, state: Path | None
) -> Iterator[RunningBridge]:
    """Run `trainbridge serve` with its embedded stores while the block lasts, and no longer than this process.

    Raises BridgeError if a port is taken, and with the last error of its log if the bridge does not start.
    """
    check_free("--grpc-address", grpc_address)
    check_free("--http-address", http_address)
    with tempfile.TemporaryDirectory(prefix="trainbridge-demo-") as temporary:
        folder = Path(temporary)
        log, ports_file = folder / "log", folder / "ports.json"
        command = bridge_command(folder, grpc_address, http_address, state, ports_file)
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches the trainer alone, which then stops the bridge.
            process = subprocess.Popen(  # noqa: S603 -- our own command
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=_environment(),
            )
        try:
            ports = _ports(process, ports_file, log)
            grpc, http = split_address(grpc_address)[0], split_address(http_address)[0]
            yield RunningBridge(
                join_address(grpc, ports["grpc"]),
                url_of(join_address(http, ports["http"])),
                process,
                log,
            )
        finally:
            _stop(process)


def bridge_command(
    folder: Path, grpc_address: str, http_address: str, state: Path | None, ports_file: Path
) -> list[str]:
    """Return the command of the bridge; what a temporary folder holds stays small, what a person's own does is kept."""
    return [
        *(sys.executable, "-m", "bridge.demo.attached", str(folder), "serve"),
        *("--grpc-address", grpc_address),
        *("--http-address", http_address),
        *("--state", str(state or folder / "state")),
        *(() if state else ("--sessions-keep", str(SESSIONS_KEPT))),
        *("--ports-file", str(ports_file)),
        *("--images-batches-per-second", str(IMAGE_BATCHES_PER_SECOND)),
        *("--log-format", "json"),
    ]


def check_free(flag: str, address: str) -> None:
    """Raise BridgeError, with what to do, if another program has the port."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # elsewhere it would take a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BridgeError(
                    f"{flag} {address} is taken: another demo, a bridge or some other program is running"
                    f" there; {WAY_OUT}"
                ) from error
            raise BridgeError(
                f"{flag} {address} cannot be used: {error.strerror or error}; give an address of this"
                " machine, such as 127.0.0.1:0"
            ) from error


def _environment() -> dict[str, str]:
    """Return the environment without the settings of another bridge."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("TRAINBRIDGE_")
    }


def _ports(process: "subprocess.Popen[bytes]", ports_file: Path, log: Path) -> dict[str, int]:
    deadline = time.monotonic() + START_SECONDS
    while not ports_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BridgeError(f"the bridge of the demo did not start: {_last_error(log)}")
        time.sleep(0.05)
    ports: dict[str, int] = json.loads(ports_file.read_text())
    return ports


def _last_error(log: Path) -> str:
    """Return the error of the last line of a log, or the line where it has none."""
    lines = log.read_text(errors="replace").strip().splitlines()
    with suppress(ValueError, AttributeError):
        return str(json.loads(lines[-1] if lines else "").get("error") or lines[-1])
    return lines[-1] if lines else "it has logged nothing"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdin:
            process.stdin.close()
