"""The bridge of the demo: the real command in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bridge.client import BridgeClient
from bridge.errors import BridgeError

START_SECONDS = 30.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RunningBridge:
    """A bridge that is ready, and host:port of its two servers."""

    grpc: str
    http: str
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Where its pages are."""
        return f"http://{self.http}"

    @property
    def client(self) -> BridgeClient:
        """What reads them."""
        return BridgeClient(self.url, timeout_seconds=30)

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
    *, grpc_address: str, http_address: str, state: Path | None
) -> Iterator[RunningBridge]:
    """Run `trainbridge serve` with its embedded stores while the block lasts.

    Raises BridgeError with the last line of its log if the bridge does not start.
    """
    with tempfile.TemporaryDirectory(prefix="trainbridge-demo-") as temporary:
        folder = Path(temporary)
        log, ports_file = folder / "log", folder / "ports.json"
        command = [
            *(sys.executable, "-m", "bridge", "serve"),
            *("--grpc-address", grpc_address),
            *("--http-address", http_address),
            *("--state", str(state or folder / "state")),
            *("--ports-file", str(ports_file)),
            *("--log-format", "text"),
        ]
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches the trainer alone, which then stops the bridge.
            process = subprocess.Popen(  # noqa: S603 -- our own command
                command, stdout=output, stderr=output, start_new_session=True, env=_environment()
            )
        try:
            ports = _ports(process, ports_file, log)
            hosts = (grpc_address.rpartition(":")[0], http_address.rpartition(":")[0])
            yield RunningBridge(
                f"{hosts[0]}:{ports['grpc']}", f"{hosts[1]}:{ports['http']}", process
            )
        finally:
            _stop(process)


def _environment() -> dict[str, str]:
    """Return the environment without the settings of another bridge."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("TRAINBRIDGE_")
    }


def _ports(process: "subprocess.Popen[bytes]", ports_file: Path, log: Path) -> dict[str, int]:
    deadline = time.monotonic() + START_SECONDS
    while not ports_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise BridgeError(f"the bridge did not start: {lines[-1] if lines else 'no output'}")
        time.sleep(0.05)
    ports: dict[str, int] = json.loads(ports_file.read_text())
    return ports


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
