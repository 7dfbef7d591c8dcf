"""A real bridge in a process of its own, with free ports and a clean environment."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from prometheus_client.parser import text_string_to_metric_families
from support.waiting import until_true

from bridge.client import BridgeClient

FOREIGN = ("TRAINBRIDGE_", "AWS_", "OTEL_")
"""Settings of whoever runs the tests; none of them may reach a bridge."""

STOP_SECONDS = 40

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class RunningBridge:
    """A bridge that is ready."""

    grpc: str
    http: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def client(self) -> BridgeClient:
        """What reads it."""
        return BridgeClient(f"http://{self.http}", timeout_seconds=30)

    def get(self, path: str, **headers: str) -> bytes:
        """Return the body of a page."""
        request = urllib.request.Request(f"http://{self.http}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return response.read()

    def metrics(self) -> dict[str, dict[Labels, float]]:
        """Return every sample of /metrics by name and labels."""
        found: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(self.client.metrics()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return found

    def total(self, name: str, /, **labels: str) -> float:
        """Add up the samples of a series that have the labels given."""
        wanted = set(labels.items())
        samples = self.metrics().get(name, {})
        return sum(value for found, value in samples.items() if wanted <= found)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@dataclass(frozen=True)
class Launch:
    """A bridge that may not be ready yet, or never will be."""

    process: subprocess.Popen[bytes]
    ports_file: Path
    log: Path

    def ready(self) -> RunningBridge:
        """Wait until it is ready, or fail with its log."""
        until_true(
            lambda: self.ports_file.exists() or self.process.poll() is not None,
            seconds=60,
            what="the bridge says which ports it has",
        )
        status = self.process.poll()
        assert status is None, f"exit status {status}: {self.log.read_text()}"
        ports = json.loads(self.ports_file.read_text())
        doors = (f"127.0.0.1:{ports[door]}" for door in ("grpc", "http"))
        return RunningBridge(*doors, self.process, self.log)


@contextmanager
def launched(
    state: Path,
    *flags: str,
    program: Sequence[str] = ("-m", "bridge"),
    variables: Mapping[str, str] = MappingProxyType({}),
):
    """Start `trainbridge serve` with the flags and variables given, wait for nothing, and end it with the block."""
    state.parent.mkdir(parents=True, exist_ok=True)
    # A disk that hangs must hold up neither the log nor whoever reads it.
    beside = state.parent.parent if state.parent.is_mount() else state.parent
    ports_file = beside / f"{state.name}-ports.json"
    ports_file.unlink(missing_ok=True)
    log = beside / f"{state.name}.log"
    command = [sys.executable, *program, "serve", "--state", str(state),
               "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0",
               "--ports-file", str(ports_file), *flags]  # fmt: skip  # flags beside their values
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)
    } | dict(variables)
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            yield Launch(process, ports_file, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(STOP_SECONDS)


@contextmanager
def running_bridge(state: Path, *flags: str):
    """Start `trainbridge serve` with the flags given, wait until it is ready, and end it with the block."""
    with launched(state, *flags) as launch:
        yield launch.ready()
