"""NVML as its binding pynvml shows it, with cards that can be lost, hang, or lack a value."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

MEBIBYTE = 1 << 20
RESERVED = 615 * MEBIBYTE


class NVMLError(Exception):
    """Any error of the library."""


def _error(name):
    return type(f"NVMLError_{name}", (NVMLError,), {"__doc__": name})


@dataclass
class Slice:
    """One MIG slice of a card."""

    uuid: str
    gpu_instance: int
    compute_instance: int
    used_mb: int = 5


@dataclass
class Card:
    """One GPU; `faults` holds what a function raises for it, by the function's name, "" for all."""

    uuid: str
    utilization: int = 50
    used_mb: int = 10
    total_mb: int = 80
    temperature: int = 60
    milliwatts: int = 300_000
    throttle_bits: int = 0
    ecc_errors: int = 0
    sm_clock_mhz: int = 1_980
    slices: list[Slice] | None = None
    """None: the card is not in MIG mode."""
    faults: dict[str, BaseException] = field(default_factory=dict)


@dataclass
class EventSet:
    """What waits for one caller."""

    events: list[int] = field(default_factory=list)


class FakeNvml:
    """As many of the functions of pynvml as are used; handles are (card,) or (card, slice)."""

    NVML_TEMPERATURE_GPU = 0
    nvmlMemory_v2 = 0x02000028  # noqa: N815 -- the library's name

    NVMLError = NVMLError
    NVMLError_Uninitialized = _error("Uninitialized")
    NVMLError_InvalidArgument = _error("InvalidArgument")
    NVMLError_NotSupported = _error("NotSupported")
    NVMLError_NoPermission = _error("NoPermission")
    NVMLError_NotFound = _error("NotFound")
    NVMLError_DriverNotLoaded = _error("DriverNotLoaded")
    NVMLError_FunctionNotFound = _error("FunctionNotFound")
    NVMLError_GpuIsLost = _error("GpuIsLost")
    NVMLError_LibRmVersionMismatch = _error("LibRmVersionMismatch")
    NVMLError_Unknown = _error("Unknown")
    NVMLError_Timeout = _error("Timeout")

    def __init__(self, *cards):
        """Hold these cards, and a driver that works."""
        self.cards = list(cards)
        self.calls = []
        """The name of each function called, and the index of its card."""
        self.driver_fault = None
        """What every function raises."""
        self.goes_on = threading.Event()
        """While it is not set, every function hangs."""
        self.watchers = []
        """Which set of events belongs to which card."""
        self.goes_on.set()

    def _call(self, name, *handle):
        self.calls.append((name, *(self.cards.index(card) for card in handle[:1])))
        self.goes_on.wait()
        if self.driver_fault:
            raise self.driver_fault
        for card in handle[:1]:
            fault = card.faults.get(name) or card.faults.get("")
            if fault:
                raise fault

    def _whole(self, handle):
        """Raise for a slice: what is measured for a card only."""
        if len(handle) > 1 or handle[0].slices is not None:
            raise self.NVMLError_NotSupported
        return handle[0]

    def nvmlInit(self):  # noqa: N802
        self._call("nvmlInit")

    def nvmlShutdown(self):  # noqa: N802
        self._call("nvmlShutdown")

    def nvmlDeviceGetCount(self):  # noqa: N802
        self._call("nvmlDeviceGetCount")
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        self._call("nvmlDeviceGetHandleByIndex", self.cards[index])
        return (self.cards[index],)

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        self._call("nvmlDeviceGetUUID", *handle)
        return handle[-1].uuid

    def nvmlDeviceGetMemoryInfo(self, handle, version=None):  # noqa: N802
        self._call("nvmlDeviceGetMemoryInfo", *handle)
        used = handle[-1].used_mb * MEBIBYTE
        total = handle[0].total_mb * MEBIBYTE
        if version is None:
            return SimpleNamespace(used=used + RESERVED, total=total)
        return SimpleNamespace(used=used, reserved=RESERVED, total=total)

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        self._call("nvmlDeviceGetUtilizationRates", *handle)
        return SimpleNamespace(gpu=self._whole(handle).utilization, memory=1)

    def nvmlDeviceGetTemperature(self, handle, _sensor):  # noqa: N802
        self._call("nvmlDeviceGetTemperature", *handle)
        return handle[0].temperature

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        self._call("nvmlDeviceGetPowerUsage", *handle)
        return self._whole(handle).milliwatts

    def nvmlDeviceGetMigMode(self, handle):  # noqa: N802
        self._call("nvmlDeviceGetMigMode", *handle)
        mode = int(handle[0].slices is not None)
        return [mode, mode]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):  # noqa: N802
        self._call("nvmlDeviceGetMaxMigDeviceCount", *handle)
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, index):  # noqa: N802
        self._call("nvmlDeviceGetMigDeviceHandleByIndex", *handle)
        if index >= len(handle[0].slices):
            raise self.NVMLError_NotFound
        return (handle[0], handle[0].slices[index])

    def nvmlDeviceGetGpuInstanceId(self, handle):  # noqa: N802
        return handle[1].gpu_instance

    def nvmlDeviceGetComputeInstanceId(self, handle):  # noqa: N802
        return handle[1].compute_instance

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):  # noqa: N802
        self._call("nvmlDeviceGetCurrentClocksEventReasons", *handle)
        return self._whole(handle).throttle_bits

    def nvmlDeviceGetTotalEccErrors(self, handle, error_type, counter_type):  # noqa: N802
        self._call("nvmlDeviceGetTotalEccErrors", *handle)
        assert (error_type, counter_type) == (1, 0), "uncorrected, volatile"
        return self._whole(handle).ecc_errors

    def nvmlDeviceGetClockInfo(self, handle, clock):  # noqa: N802
        self._call("nvmlDeviceGetClockInfo", *handle)
        assert clock == 1, "the clock of the multiprocessors"
        return self._whole(handle).sm_clock_mhz

    def nvmlEventSetCreate(self):  # noqa: N802
        self._call("nvmlEventSetCreate")
        return EventSet()

    def nvmlDeviceRegisterEvents(self, handle, types, events):  # noqa: N802
        self._call("nvmlDeviceRegisterEvents", *handle)
        assert types == 8, "critical XID errors"
        self.watchers.append((self._whole(handle), events))

    def nvmlEventSetWait_v2(self, events, milliseconds):  # noqa: N802
        self._call("nvmlEventSetWait_v2")
        assert milliseconds == 0, "nothing waits for an error"
        if not events.events:
            raise self.NVMLError_Timeout
        return events.events.pop(0)

    def report_xid(self, card, number):
        """Let a card have an XID error."""
        for watched, events in self.watchers:
            if watched is card:
                events.events.append(number)
