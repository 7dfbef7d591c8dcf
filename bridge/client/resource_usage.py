"""What this process uses: CPU, memory and GPUs."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.client.gpus import Gpu, GpuReader
from bridge.client.own_gpus import CudaView, Gpus, checked_gpus, cuda_view
from bridge.protocol import MEBIBYTE

try:  # both are extras, and imported here so that nothing is imported while training runs
    import psutil
except ImportError:  # pragma: no cover
    psutil = None  # type: ignore[assignment]
try:
    import pynvml
except ImportError:  # pragma: no cover
    pynvml = None

__all__ = ["CudaView", "Gpu", "Gpus", "ResourceMonitor", "ResourceUsage"]

WAIT_SECONDS = 0.5
"""How long a reading of the GPUs is waited for; a later one is returned by the call after it is done."""

MAX_AGE_SECONDS = 15.0
"""A reading that began longer ago is out of date."""

log = logging.getLogger("trainbridge")


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What is used at one moment; None: not reported. 1 MB is 2^20 bytes."""

    cpu_percent: float | None
    """Since the last reading; 100 is one core."""
    memory_mb: float | None
    gpus: tuple[Gpu, ...]
    """Those of this process that can be read, the first one first."""
    first_gpu_missing: bool = False
    """Whether the first GPU of this process is not among them, since it cannot be read."""


class ResourceMonitor:
    """Measures this process and its GPUs; never raises, and never waits for a GPU that hangs."""

    def __init__(
        self,
        nvml: Any = pynvml,
        *,
        gpus: Gpus = "visible",
        environment: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start measuring; raises ValueError for an unknown `gpus`, and does not load NVML yet."""
        self._reader = GpuReader(nvml, checked_gpus(gpus), environment, now=now)
        self._readings = Readings(self._reader.read, now=now)
        self._has_gpus = nvml is not None and gpus != "none"
        self._process = _measured(psutil.Process) if psutil else None
        if self._process is not None:
            _measured(self._process.cpu_percent)

    def record_cuda_devices(self) -> None:
        """Record which GPUs torch uses, if any; call it in the training thread."""
        self._reader.cuda = cuda_view() or self._reader.cuda

    def read(self) -> ResourceUsage | None:
        """Return what is used now; None where nothing can be read."""
        process = self._process
        cpu = memory = None
        if process is not None:
            cpu = _measured(process.cpu_percent)
            memory = _measured(lambda: process.memory_info().rss / MEBIBYTE)
        reading = self._readings.latest() if self._has_gpus else ()
        gpus = tuple(gpu for gpu in reading if gpu is not None)
        if cpu is None and memory is None and not gpus:
            return None
        return ResourceUsage(
            cpu, memory, gpus, first_gpu_missing=bool(reading) and reading[0] is None
        )


class Readings:
    """Takes each reading in a thread of its own, so that a hanging one blocks nothing else.

    A call into a driver cannot be interrupted, and a GPU that falls off its bus can hang one for good.
    Then no other reading begins until that one returns: one thread hangs, never two.
    """

    def __init__(
        self,
        read: Callable[[], tuple[Gpu | None, ...]],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` must not raise."""
        self._read = read
        self._now = now
        self._done = threading.Event()
        self._done.set()
        self._begun_at = 0.0
        self._hang_is_logged = False
        self._last: tuple[float, tuple[Gpu | None, ...]] | None = None
        """When the last finished reading began, and its result."""

    def latest(self) -> tuple[Gpu | None, ...]:
        """Return a new reading, or else the last one while that is up to date, or else nothing."""
        if self._done.is_set():
            self._begin()
            self._done.wait(WAIT_SECONDS)
        last, now = self._last, self._now()
        if not self._done.is_set() and now - self._begun_at > MAX_AGE_SECONDS:
            self._log_hang(now - self._begun_at)
        if last is None or now - last[0] > MAX_AGE_SECONDS:
            return ()
        return last[1]

    def _begin(self) -> None:
        self._begun_at = self._now()
        self._done.clear()
        thread = threading.Thread(target=self._run, name="trainbridge-gpus", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process is at its limit of threads, or ending
            self._done.set()

    def _run(self) -> None:
        begun_at = self._begun_at
        try:
            self._last = (begun_at, self._read())
        finally:
            if self._hang_is_logged:
                log.info("NVML answers again; GPUs are reported")
            self._hang_is_logged = False
            self._done.set()

    def _log_hang(self, seconds: float) -> None:
        if not self._hang_is_logged:
            self._hang_is_logged = True
            log.warning(
                "NVML has not answered for %d s; GPUs are not reported until it does", seconds
            )


def _measured(measure: Callable[[], Any]) -> Any:
    """Return what psutil measures; None where the system does not provide it."""
    try:
        return measure()
    except Exception:  # noqa: BLE001 -- no permission, /proc not mounted, a value in an unknown format
        return None
