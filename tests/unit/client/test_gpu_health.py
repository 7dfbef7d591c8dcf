"""What NVML reports about the health of a GPU."""

import logging

import pytest
from support.fake_nvml import Card, FakeNvml, Slice

from bridge.client.gpu_health import EVENTS_AT_ONCE, throttle_reasons
from bridge.client.gpus import GpuReader


class Clock:
    """A clock that stands still until it is set."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def reader(nvml, clock=None):
    """Return a reader of all these GPUs."""
    return GpuReader(nvml, "visible", {}, now=clock or Clock())


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x000, ()),
        (0x001, ()),
        (0x103, ()),
        (0x004, ("power",)),
        (0x048, ("hardware", "hardware_thermal")),
        (0x0F0, ("sync_boost", "thermal", "hardware_thermal", "power_brake")),
        (0x200, ("other",)),
        (0x1_0004, ("power", "other")),
    ],
)
def test_only_what_slows_a_gpu_down_is_a_reason(bits, reasons):
    """An idle GPU and clocks set by hand are as they should be; a bit unknown here is not hidden."""
    assert throttle_reasons(bits) == reasons


def test_health_is_read():
    """Each value in the units of the protocol."""
    nvml = FakeNvml(Card("GPU-a", throttle_bits=0x20, ecc_errors=3, sm_clock_mhz=1200))

    (gpu,) = reader(nvml).read()

    assert (gpu.throttle_reasons, gpu.ecc_errors, gpu.sm_clock_mhz) == (("thermal",), 3, 1200.0)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("nvmlDeviceGetCurrentClocksEventReasons", "throttle_reasons"),
        ("nvmlDeviceGetTotalEccErrors", "ecc_errors"),
        ("nvmlDeviceGetClockInfo", "sm_clock_mhz"),
        ("nvmlDeviceRegisterEvents", "xid_errors"),
    ],
)
@pytest.mark.parametrize("error", ["NotSupported", "NoPermission", "Unknown"])
def test_health_that_a_gpu_does_not_report_is_absent(function, name, error, caplog):
    """It is None, never 0 or "not throttled", nothing else is affected, and nobody is alarmed."""
    nvml = FakeNvml(Card("GPU-a"))
    nvml.cards[0].faults[function] = getattr(nvml, f"NVMLError_{error}")()

    (gpu,) = reader(nvml).read()

    assert getattr(gpu, name) is None
    assert gpu.utilization_percent == 50.0
    absent = [
        each
        for each in ("throttle_reasons", "ecc_errors", "sm_clock_mhz", "xid_errors")
        if getattr(gpu, each) is None
    ]
    assert absent == [name]
    assert caplog.records == []


def test_a_slice_reports_no_health_of_the_whole_card():
    """The card is shared: its clock and its errors may be of somebody else."""
    nvml = FakeNvml(Card("GPU-a", slices=[Slice("MIG-x", 1, 0)]))

    (gpu,) = reader(nvml).read()

    health = (gpu.throttle_reasons, gpu.ecc_errors, gpu.xid_errors, gpu.sm_clock_mhz)
    assert health == (None, None, None, None)


def test_an_older_driver_has_the_reasons_under_another_name():
    """Before version 535 of the driver the call was named after throttling."""

    class Older(FakeNvml):
        def nvmlDeviceGetCurrentClocksEventReasons(self, handle):  # noqa: N802
            raise self.NVMLError_FunctionNotFound

        def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):  # noqa: N802
            return self._whole(handle).throttle_bits

    (gpu,) = reader(Older(Card("GPU-a", throttle_bits=0x80))).read()

    assert gpu.throttle_reasons == ("power_brake",)


def test_xid_errors_are_counted_from_the_first_reading():
    """One watch a card for good; none is counted twice, and only the card that had it has it."""
    nvml = FakeNvml(Card("GPU-a"), Card("GPU-b"))
    read = reader(nvml).read
    assert [gpu.xid_errors for gpu in read()] == [0, 0]

    nvml.report_xid(nvml.cards[1], 48)
    nvml.report_xid(nvml.cards[1], 63)

    assert [[gpu.xid_errors for gpu in read()] for _ in range(2)] == [[0, 2], [0, 2]]
    assert len(nvml.watchers) == 2


def test_a_storm_of_xid_errors_does_not_hold_up_a_reading():
    """A reading takes a bounded number; the next ones take the rest."""
    nvml = FakeNvml(Card("GPU-a"))
    read = reader(nvml).read
    read()
    for _ in range(EVENTS_AT_ONCE + 5):
        nvml.report_xid(nvml.cards[0], 31)

    assert [read()[0].xid_errors for _ in range(2)] == [EVENTS_AT_ONCE, EVENTS_AT_ONCE + 5]


def test_a_gpu_that_falls_off_its_bus_reports_the_xid_error_that_says_so(caplog):
    """XID 79 comes with the loss of all other values, and is the one that explains it."""
    caplog.set_level(logging.INFO, "trainbridge")
    nvml = FakeNvml(Card("GPU-a"), Card("GPU-b"))
    read = reader(nvml).read
    read()
    nvml.report_xid(nvml.cards[0], 79)
    nvml.cards[0].faults[""] = nvml.NVMLError_GpuIsLost()

    for _ in range(3):
        first, second = read()
        assert (first.uuid, first.xid_errors, first.utilization_percent) == ("GPU-a", 1, None)
        assert second.utilization_percent == 50.0
    assert "GPU 0 is not reported" in caplog.text


def test_a_gpu_that_is_lost_before_it_is_watched_costs_no_other_one(caplog):
    """It was found, and falls off its bus before the first of its values is asked for."""
    nvml = FakeNvml(Card("GPU-a"), Card("GPU-b"))
    nvml.cards[0].faults["nvmlDeviceRegisterEvents"] = nvml.NVMLError_GpuIsLost()
    read = reader(nvml).read

    first, second = read()
    assert (first, second.uuid) == (None, "GPU-b")
    assert "GPU 0 is not reported" in caplog.text

    nvml.cards[0].faults.clear()
    assert [gpu.xid_errors for gpu in read()] == [0, 0]


def test_what_was_counted_outlives_the_driver():
    """A driver that is reloaded has new sets of events; the count goes on."""
    clock, nvml = Clock(), FakeNvml(Card("GPU-a"))
    read = reader(nvml, clock).read
    read()
    nvml.report_xid(nvml.cards[0], 48)
    assert read()[0].xid_errors == 1
    nvml.driver_fault = nvml.NVMLError_DriverNotLoaded()
    assert read() == ()

    nvml.driver_fault = None
    clock.seconds += 1_000
    read()
    nvml.report_xid(nvml.cards[0], 48)

    assert read()[0].xid_errors == 2
