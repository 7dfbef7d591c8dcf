"""What this process uses: processor, memory and GPUs."""

import logging
from dataclasses import dataclass
from typing import Any

try:  # both are extras, and imported here so that nothing is imported while training runs
    import psutil
except ImportError:  # pragma: no cover
    psutil = None  # type: ignore[assignment]
try:
    import pynvml
except ImportError:  # pragma: no cover
    pynvml = None

MEBIBYTE = 1 << 20

log = logging.getLogger("trainbridge")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment."""

    index: int
    uuid: str
    utilization_percent: float
    memory_used_mb: float
    memory_total_mb: float
    temperature_celsius: float
    power_watts: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What is used at one moment; 1 MB is 2^20 bytes."""

    cpu_percent: float
    """Since the last time; 100 is one core."""
    memory_mb: float
    gpus: tuple[Gpu, ...]


class System:
    """Looks at this process and at the GPUs of this machine; never raises."""

    def __init__(self, nvml: Any = pynvml) -> None:
        """Start counting; where NVML is missing, or has no driver, there are no GPUs."""
        self._process = psutil.Process() if psutil else None
        if self._process:
            self._process.cpu_percent(None)
        self._nvml = _started(nvml)

    def usage(self) -> Usage | None:
        """Return what is used now; None where nothing can be told."""
        gpus = self._gpus()
        if self._process is None and not gpus:
            return None
        try:
            cpu = self._process.cpu_percent(None) if self._process else 0.0
            memory = self._process.memory_info().rss / MEBIBYTE if self._process else 0.0
        except psutil.Error:
            return None
        return Usage(cpu, memory, gpus)

    def _gpus(self) -> tuple[Gpu, ...]:
        if self._nvml is None:
            return ()
        try:
            return tuple(self._gpu(index) for index in range(self._nvml.nvmlDeviceGetCount()))
        except self._nvml.NVMLError as error:
            log.warning("GPUs are not reported any more: %s", error)
            self._nvml = None
            return ()

    def _gpu(self, index: int) -> Gpu:
        nvml = self._nvml
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(device))
        utilization = self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(device))
        temperature = nvml.NVML_TEMPERATURE_GPU
        return Gpu(
            index,
            _text(nvml.nvmlDeviceGetUUID(device)),
            float(utilization.gpu) if utilization else 0.0,
            memory.used / MEBIBYTE if memory else 0.0,
            memory.total / MEBIBYTE if memory else 0.0,
            float(self._ask(lambda: nvml.nvmlDeviceGetTemperature(device, temperature)) or 0),
            (self._ask(lambda: nvml.nvmlDeviceGetPowerUsage(device)) or 0) / 1000,
        )

    def _ask(self, question: Any) -> Any:
        """Return None for what this kind of GPU does not tell; not all tell everything."""
        try:
            return question()
        except self._nvml.NVMLError_NotSupported:
            return None


def _started(nvml: Any) -> Any:
    if nvml is None:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:  # no driver: this machine has no GPU of that make
        return None
    return nvml


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
