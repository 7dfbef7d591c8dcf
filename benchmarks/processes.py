"""Servers that a benchmark starts as processes of their own, watches, and ends by their id."""

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

START_SECONDS = 30.0
STOP_SECONDS = 30.0
WATCH_SECONDS = 0.02


class BenchmarkError(Exception):
    """What was measured is wrong or missing, so there is no figure to report."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, seen from outside."""

    process: subprocess.Popen[bytes]
    ports: dict[str, int]
    start_seconds: float
    """From starting the process until it had written its ports."""

    @property
    def grpc_address(self) -> str:
        """host:port of the gRPC server."""
        return f"127.0.0.1:{self.ports['grpc']}"

    @property
    def cpu_seconds(self) -> float:
        """CPU time spent so far, in the program and in the kernel for it."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def rss_bytes(self) -> int:
        """Memory in use."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def freeze(self) -> None:
        """Stop it in its tracks; its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it without a word, frozen or not."""
        self.process.kill()
        self.process.wait()


class Watch:
    """What a server used between entering and leaving the block."""

    def __init__(self, server: Server) -> None:
        """Watch one server."""
        self._server = server
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.cpu_seconds = 0.0
        self.wall_seconds = 0.0
        self.rss_bytes = 0
        """The most that was seen."""

    def __enter__(self) -> Self:
        """Start watching."""
        self._started = time.monotonic()
        self._cpu_before = self._server.cpu_seconds
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop watching; the figures stand."""
        self.wall_seconds = time.monotonic() - self._started
        self._stopped.set()
        self._thread.join()
        if kind is None:
            self.cpu_seconds = self._server.cpu_seconds - self._cpu_before

    def _follow(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while not self._stopped.wait(WATCH_SECONDS):
                self.rss_bytes = max(self.rss_bytes, self._server.rss_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How to start a server that writes its ports to a file when it is ready."""

    command: Sequence[str]
    folder: Path
    """For its ports and what it says."""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def ports_file(self) -> Path:
        """Where the server writes its ports."""
        return self.folder / "ports.json"

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        """Start the server, and end it on the way out.

        Raises BenchmarkError when it is not ready in time, or does not end when asked to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=self.environment or None
            )
        try:
            ports = self._ports(process)
            yield Server(process, ports, time.perf_counter() - started)
        finally:
            self._end(process)

    def _ports(self, process: subprocess.Popen[bytes]) -> dict[str, int]:
        deadline = time.monotonic() + START_SECONDS
        while not self.ports_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"{self.command} is not ready:\n{self._said()}")
            time.sleep(0.002)
        ports: dict[str, int] = json.loads(self.ports_file.read_text())
        return ports

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise BenchmarkError(
                f"{self.command} did not end when asked to:\n{self._said()}"
            ) from None

    def _said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4_000:]
