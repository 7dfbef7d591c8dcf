"""What NVML reports about the GPUs of a process."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bridge.client.gpu_health import GpuHealth
from bridge.client.own_gpus import (
    CudaView,
    Device,
    Gpus,
    MigInstance,
    Target,
    own_gpus,
    selection_variables,
)
from bridge.protocol import MEBIBYTE

FIRST_RETRY_SECONDS = 10.0
MAX_RETRY_SECONDS = 300.0
"""How long to wait before NVML is tried again after it failed: at first, and at most."""

UNSUPPORTED = (
    "NotSupported",
    "FunctionNotFound",
    "ArgumentVersionMismatch",
    "InvalidArgument",
    "NotFound",
    "NoData",
)
"""Errors of a value that this GPU or MIG slice, or this version of NVML, does not have."""

LOST = ("GpuIsLost", "ResetRequired", "GpuNotFound", "Timeout")
"""Errors that concern a whole GPU."""

DOWN = ("Uninitialized", "DriverNotLoaded", "LibRmVersionMismatch", "LibraryNotFound")
"""Errors of NVML itself, such as a driver that was unloaded or replaced."""

log = logging.getLogger("trainbridge")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or MIG slice of one, at one moment; None: not reported. 1 MB is 2^20 bytes."""

    index: int
    """As NVML, nvidia-smi and DCGM number them."""
    uuid: str
    """GPU-..., as DCGM's label UUID; of a slice MIG-GPU-<uuid>/<GPU instance>/<compute instance>."""
    utilization_percent: float | None = None
    memory_used_mb: float | None = None
    """Without what the driver reserves for itself, where NVML can leave that out."""
    memory_total_mb: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    """Why it runs slower than it could; empty: it does not."""
    ecc_errors: int | None = None
    """Memory errors that could not be corrected, since the driver was loaded."""
    xid_errors: int | None = None
    """Since this process began."""
    sm_clock_mhz: float | None = None


class GpuReader:
    """Reads the GPUs of this process; never raises, but may hang as long as NVML does."""

    def __init__(
        self,
        nvml: Any,
        gpus: Gpus,
        environment: Mapping[str, str],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use the functions of the module pynvml, of which older versions have fewer."""
        self._nvml = nvml
        self._gpus = gpus
        self._environment = environment
        self._now = now
        self._unsupported = _errors(nvml, UNSUPPORTED)
        self._lost = _errors(nvml, LOST)
        self._down = _errors(nvml, DOWN)
        self._health = GpuHealth(
            nvml, fatal=(*self._lost, *self._down), timeout=_errors(nvml, ("Timeout",))
        )
        self._version_errors: tuple[type[BaseException], ...] = (
            AttributeError,
            TypeError,
            *self._unsupported,
        )
        """What an older binding or driver raises for a call that it does not know yet."""
        self.cuda: CudaView | None = None
        """What CUDA shows; set by the training thread, once it is known."""
        self._variables: dict[str, str] | None = None
        """The variables that select GPUs, as they were at the first reading."""
        self._devices: dict[int, Device] = {}
        """By index, once described; one that NVML cannot reach keeps its description, without a handle."""
        self._failures: dict[int, BaseException] = {}
        """By index: what failed during this reading."""
        self._reported: set[int] = set()
        """Indices whose failure has been logged, for as long as it lasts."""
        self._is_up = False
        self._has_started = False
        self._outage_is_logged = False
        self._retry_at = 0.0
        self._retry_seconds = FIRST_RETRY_SECONDS

    def read(self) -> tuple[Gpu | None, ...]:
        """Return the GPUs of this process, the first one first; None for one that NVML cannot reach."""
        if self._nvml is None or self._gpus == "none":
            return ()
        if not self._is_up and self._now() < self._retry_at:
            return ()
        try:
            self._start()
            gpus = self._read()
        except BaseException as error:  # noqa: BLE001 -- a driver or its binding may raise anything
            self._stop(error)
            return ()
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._outage_is_logged = False
        return gpus

    def _read(self) -> tuple[Gpu | None, ...]:
        self._failures = {}
        devices = [self._device(index) for index in range(self._nvml.nvmlDeviceGetCount())]
        if (
            self._variables is None
        ):  # CUDA reads them once, too: what is set later is for child processes
            self._variables = selection_variables(self._environment)
        targets = own_gpus(devices, self._gpus, self._variables, self.cuda)
        gpus = tuple(self._gpu(target) for target in targets)
        self._log_changes({target.device.index for target in targets})
        return gpus

    def _device(self, index: int) -> Device:
        """Return the description of a GPU; one described before is not touched: it may be another process's."""
        known = self._devices.get(index, Device(index, ""))
        if known.handle is not None:
            return known
        try:
            known = self._describe(index)
        except self._down:
            raise
        except BaseException as error:  # noqa: BLE001 -- only this GPU is not reported
            self._failures[index] = error
        self._devices[index] = known
        return known

    def _describe(self, index: int) -> Device:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = self._supported(lambda: _text(nvml.nvmlDeviceGetUUID(handle))) or ""
        mode = self._supported(lambda: nvml.nvmlDeviceGetMigMode(handle)[0])
        slots = range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle) if mode else 0)
        slices = [self._value(index, partial(self._slice, handle, slot)) for slot in slots]
        return Device(index, uuid, handle, bool(mode), tuple(filter(None, slices)))

    def _slice(self, parent: Any, slot: int) -> MigInstance:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, slot)
        return MigInstance(
            _text(nvml.nvmlDeviceGetUUID(handle)),
            nvml.nvmlDeviceGetGpuInstanceId(handle),
            nvml.nvmlDeviceGetComputeInstanceId(handle),
            handle,
        )

    def _gpu(self, target: Target) -> Gpu | None:
        device, instance = target.device, target.instance
        if device.handle is None:
            return self._fallen(device)
        handle = device.handle if instance is None else instance.handle
        try:
            if instance is None:
                self._health.watch(device.index, handle)
            values = self._values(device.index, handle)
        except self._lost as error:
            self._failures[device.index] = error
            values = {}
        if (
            not values
        ):  # the slice may have been destroyed and created anew: look its handle up again
            self._devices[device.index] = replace(device, handle=None)
        if not values and device.index in self._failures:
            return self._fallen(device)
        if (xid_errors := self._health.xid_errors(device.index)) is not None:
            values["xid_errors"] = xid_errors
        uuid = device.uuid
        if instance is not None:
            uuid = f"MIG-{device.uuid}/{instance.gpu_instance}/{instance.compute_instance}"
        return Gpu(device.index, uuid, **values)

    def _fallen(self, device: Device) -> Gpu | None:
        """Return what is known of a GPU that NVML cannot reach: the XID errors that said why."""
        xid_errors = self._health.xid_errors(device.index)
        return Gpu(device.index, device.uuid, xid_errors=xid_errors) if xid_errors else None

    def _values(self, index: int, handle: Any) -> dict[str, Any]:
        """Return what this GPU reports, by the fields of Gpu."""
        nvml = self._nvml
        memory = self._value(index, lambda: self._memory(handle))
        used, total = memory or (None, None)
        sensor = getattr(nvml, "NVML_TEMPERATURE_GPU", 0)
        values = {
            "utilization_percent": self._value(
                index, lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
            ),
            "memory_used_mb": used,
            "memory_total_mb": total,
            "temperature_celsius": self._value(
                index, lambda: float(nvml.nvmlDeviceGetTemperature(handle, sensor))
            ),
            "power_watts": self._value(index, lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
        }
        known = {name: value for name, value in values.items() if value is not None}
        return known | self._health.values(handle)

    def _memory(self, handle: Any) -> tuple[float, float]:
        """Return MB used and MB in total; only version 2 separates used from reserved memory (NVML API)."""
        nvml = self._nvml
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
        except self._version_errors:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return memory.used / MEBIBYTE, memory.total / MEBIBYTE

    def _supported(self, query: Callable[[], Any]) -> Any:
        """Return what a query returns; None where this GPU, NVML or its binding does not support it."""
        try:
            return query()
        except AttributeError:
            return None
        except self._unsupported:
            return None

    def _value(self, index: int, query: Callable[[], Any]) -> Any:
        """Return what a query returns, or None; raises only what concerns the whole GPU, or NVML."""
        try:
            return self._supported(query)
        except self._lost:
            raise
        except self._down:
            raise
        except BaseException as error:  # noqa: BLE001 -- only this value is not reported
            self._failures[index] = error
            return None

    def _log_changes(self, own: set[int]) -> None:
        """Log where a failure of one of the process's own GPUs begins, and where it ends."""
        failing = own & self._failures.keys()
        for index in sorted(failing - self._reported):
            error = self._failures[index]
            log.warning(
                "GPU %d is not reported, or not fully, while this lasts: %s", index, _reason(error)
            )
        for index in sorted(self._reported - failing):
            log.info("GPU %d is reported again", index)
        self._reported = failing

    def _start(self) -> None:
        if self._is_up:
            return
        self._nvml.nvmlInit()
        self._is_up = self._has_started = True
        self._devices = {}
        self._health.begin()

    def _stop(self, error: BaseException) -> None:
        """Shut NVML down for a while; where it has never started, this machine has no such GPU: log nothing."""
        if self._has_started and not self._outage_is_logged:
            self._outage_is_logged = True
            log.warning("GPUs are not reported while NVML does not work: %s", _reason(error))
        if self._is_up:  # else it would keep its state of a driver that is gone
            with suppress(BaseException):
                self._nvml.nvmlShutdown()
        self._is_up = False
        self._retry_at = self._now() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, MAX_RETRY_SECONDS)


def _errors(nvml: Any, names: tuple[str, ...]) -> tuple[type[BaseException], ...]:
    """Return those of the error classes that this version of the library has."""
    classes = (getattr(nvml, f"NVMLError_{name}", None) for name in names)
    return tuple(class_ for class_ in classes if class_ is not None)


def _reason(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 -- the text of an error comes from the library that has failed
        return type(error).__name__


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
