"""What NVML reports about the health of a GPU: why it runs slower than it could, errors, and its clock."""

from collections.abc import Callable
from typing import Any

UNCORRECTED, VOLATILE, SM_CLOCK, XID_CRITICAL_ERROR = 1, 0, 1, 8
"""NVML's numbers of a type of memory error, a type of counter, a clock, and a type of event."""

THROTTLE_REASONS = (
    (0x04, "power"),
    (0x08, "hardware"),
    (0x10, "sync_boost"),
    (0x20, "thermal"),
    (0x40, "hardware_thermal"),
    (0x80, "power_brake"),
)
"""Bits of nvmlClocksEventReasons, and their names here."""

NOT_THROTTLED = 0x01 | 0x02 | 0x100
"""An idle GPU, and clocks that somebody has set: it is as fast as it is meant to be."""

OTHER_REASON = "other"

KNOWN_BITS = NOT_THROTTLED | sum(bit for bit, _ in THROTTLE_REASONS)

EVENTS_AT_ONCE = 64
"""XID events that one reading takes; the rest wait in the driver for the next."""

Query = Callable[[], Any]


class GpuHealth:
    """Reads what each GPU reports of its health; not reported is what it, NVML or the binding lacks.

    Errors are uncorrected memory errors since the driver was loaded, which the driver counts, and XID
    errors since the process began, which are counted here as their events come.
    """

    def __init__(
        self,
        nvml: Any,
        *,
        fatal: tuple[type[BaseException], ...],
        timeout: tuple[type[BaseException], ...],
    ) -> None:
        """Let errors of the classes `fatal` through; one of `timeout` says that no event waits."""
        self._nvml = nvml
        self._fatal = tuple(error for error in fatal if error not in timeout)
        self._timeout = timeout
        self._events: dict[int, Any] = {}
        """By index, the set of events of a GPU; None where it does not report them."""
        self._xid_errors: dict[int, int] = {}

    def begin(self) -> None:
        """Forget the events of an NVML that has been shut down, and not what was counted."""
        self._events = {}

    def values(self, handle: Any) -> dict[str, Any]:
        """Return what a GPU reports, by the fields of Gpu; raises only what is fatal."""
        nvml = self._nvml
        bits = self._quiet(lambda: _reasons(nvml, handle))
        values = {
            "throttle_reasons": None if bits is None else throttle_reasons(bits),
            "ecc_errors": self._quiet(
                lambda: nvml.nvmlDeviceGetTotalEccErrors(handle, UNCORRECTED, VOLATILE)
            ),
            "sm_clock_mhz": self._quiet(
                lambda: float(nvml.nvmlDeviceGetClockInfo(handle, SM_CLOCK))
            ),
        }
        return {name: value for name, value in values.items() if value is not None}

    def watch(self, index: int, handle: Any) -> None:
        """Have the driver collect the XID events of a GPU, once."""
        if index in self._events:
            return
        nvml = self._nvml

        def watched() -> Any:
            events = nvml.nvmlEventSetCreate()
            nvml.nvmlDeviceRegisterEvents(handle, XID_CRITICAL_ERROR, events)
            return events

        self._events[index] = self._quiet(watched)
        if self._events[index] is not None:
            self._xid_errors.setdefault(index, 0)

    def xid_errors(self, index: int) -> int | None:
        """Return how many XID errors a GPU has had; None: it does not report them. It may be lost meanwhile."""
        events = self._events.get(index)
        if events is not None:
            self._xid_errors[index] += self._waiting(events)
        return self._xid_errors.get(index)

    def _waiting(self, events: Any) -> int:
        """Take the events that have come, and return their number; waits for none."""
        for count in range(EVENTS_AT_ONCE):
            try:
                self._nvml.nvmlEventSetWait_v2(events, 0)
            except self._timeout:
                return count
            except BaseException:  # noqa: BLE001 -- a GPU that has fallen off its bus has no more events
                return count
        return EVENTS_AT_ONCE

    def _quiet(self, query: Query) -> Any:
        """Return what a query returns; None for whatever it raises, unless that is fatal."""
        try:
            return query()
        except self._fatal:
            raise
        except BaseException:  # noqa: BLE001 -- containers often may not ask for these, and it is only this value
            return None


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """Return the names of the reasons in NVML's bits, of which some mean that nothing is slowed down."""
    names = [name for bit, name in THROTTLE_REASONS if bits & bit]
    return (*names, OTHER_REASON) if bits & ~KNOWN_BITS else tuple(names)


def _reasons(nvml: Any, handle: Any) -> int:
    """Return the reasons as bits; drivers and bindings older than 535 have the call under its first name."""
    try:
        return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except (AttributeError, nvml.NVMLError_FunctionNotFound):
        return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
