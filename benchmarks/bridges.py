"""A real bridge for a benchmark, with embedded stores and free ports on loopback."""

import http.client
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import BenchmarkError, Program, Server

COMMAND: tuple[str, ...] = (sys.executable, "-m", "bridge", "serve")

FOREIGN = ("TRAINBRIDGE_", "AWS_", "OTEL_", "PYTHONDONTWRITEBYTECODE")
"""Settings of whoever runs the benchmarks; none of them may change a figure."""

SETTLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Bridge:
    """A running bridge."""

    server: Server

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.ports["http"], timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def page(self) -> str:
        """Return /metrics as text."""
        status, body = self.get("/metrics")
        if status != 200:
            raise BenchmarkError(f"/metrics answered {status}")
        return body.decode()

    def expect(self, series: str, expected: float) -> None:
        """Check that all samples of a series add up to what was sent.

        Raises BenchmarkError when they do not, even after a while: what was measured was not the work.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        while (found := total(self.page(), series)) != expected:
            if time.monotonic() > deadline or found > expected:
                raise BenchmarkError(f"{series}: {expected:g} were sent, {found:g} have arrived")
            time.sleep(0.05)


def total(page: str, series: str) -> float:
    """Add up the samples of a series; `series` is its name with the labels that narrow it, if any.

    The labels are taken as they stand on the page: training_images_total{result="stored"} needs
    only that label to be somewhere among those of a sample.
    """
    name, _, narrowed = series.rstrip("}").partition("{")
    samples = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)", page, re.MULTILINE)
    return sum(float(value) for labels, value in samples if narrowed in labels)


@contextmanager
def bridge(*flags: str, prepare: Callable[[Path], None] | None = None) -> Iterator[Bridge]:
    """Run a bridge with an empty state folder on the disk of the temporary folder (TMPDIR).

    `prepare` may put something into the state folder before.
    """
    with tempfile.TemporaryDirectory(prefix="trainbridge-benchmark-") as folder:
        if prepare is not None:
            prepare(Path(folder) / "state")
        program = _program(Path(folder), flags)
        with program.running() as server:
            yield Bridge(server)


def _program(folder: Path, flags: Sequence[str]) -> Program:
    addresses = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")
    files = ("--state", str(folder / "state"), "--ports-file", str(folder / "ports.json"))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    command = (*COMMAND, *addresses, *files, "--log-level", "warning", *flags)
    return Program(command=command, folder=folder, environment=plain)
