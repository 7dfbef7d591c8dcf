"""What NVML reports about the GPUs of a process."""

import itertools
import logging
from types import SimpleNamespace

import pytest
from support.fake_nvml import MEBIBYTE, Card, FakeNvml, NVMLError, Slice

from bridge.client.gpus import FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS, Gpu, GpuReader


class Clock:
    """A clock that stands still until it is set."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def reader(nvml, clock=None, gpus="visible", **environment):
    """Return a reader of these GPUs."""
    return GpuReader(nvml, gpus, environment, now=clock or Clock())


def two():
    """Return a machine with two GPUs."""
    return FakeNvml(Card("GPU-a"), Card("GPU-b", utilization=0))


def indices(found):
    """Return the GPUs that were read."""
    return [gpu.index for gpu in found if gpu is not None]


def test_every_value_is_read():
    """In the units of the protocol; an idle GPU is at 0, which is a value."""
    first, second = reader(two()).read()

    assert first == Gpu(0, "GPU-a", 50.0, 10.0, 80.0, 60.0, 300.0, (), 0, 0, 1980.0)
    assert second.utilization_percent == 0.0


def test_reserved_memory_is_not_used_memory():
    """Version 1 of the call includes what the driver reserves; an older binding has only that."""
    assert reader(FakeNvml(Card("GPU-a"))).read()[0].memory_used_mb == 10

    class Older(FakeNvml):
        def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
            return SimpleNamespace(used=7 * MEBIBYTE, total=80 * MEBIBYTE)

    assert reader(Older(Card("GPU-a"))).read()[0].memory_used_mb == 7

    class OlderDriver(FakeNvml):
        def nvmlDeviceGetMemoryInfo(self, handle, version=None):  # noqa: N802
            if version:
                raise self.NVMLError_FunctionNotFound
            return SimpleNamespace(used=6 * MEBIBYTE, total=80 * MEBIBYTE)

    assert reader(OlderDriver(Card("GPU-a"))).read()[0].memory_used_mb == 6


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("nvmlDeviceGetUtilizationRates", ["utilization_percent"]),
        ("nvmlDeviceGetMemoryInfo", ["memory_used_mb", "memory_total_mb"]),
        ("nvmlDeviceGetTemperature", ["temperature_celsius"]),
        ("nvmlDeviceGetPowerUsage", ["power_watts"]),
    ],
)
@pytest.mark.parametrize("error", ["NotSupported", "InvalidArgument", "Unknown", "NoPermission"])
def test_what_a_gpu_does_not_report_is_absent(function, names, error):
    """It is None, never 0, and no other value is affected."""
    nvml = two()
    nvml.cards[0].faults[function] = getattr(nvml, f"NVMLError_{error}")()

    first, second = reader(nvml).read()

    assert all(getattr(first, name) is None for name in names)
    missing = [name for name in Gpu.__dataclass_fields__ if getattr(first, name) is None]
    assert missing == names
    assert second.power_watts == 300


def test_a_function_that_the_binding_lacks_costs_its_value():
    """Older versions of nvidia-ml-py have fewer."""

    class Older(FakeNvml):
        def __getattribute__(self, name):
            if name in {"nvmlDeviceGetMigMode", "nvmlDeviceGetPowerUsage"}:
                raise AttributeError(name)
            return super().__getattribute__(name)

    found = reader(Older(Card("GPU-a"))).read()

    assert found == (Gpu(0, "GPU-a", 50.0, 10.0, 80.0, 60.0, None, (), 0, 0, 1980.0),)


def test_a_mig_slice_reports_its_own_memory_and_no_utilization():
    """Its name contains DCGM's UUID and GPU_I_ID."""
    slices = [Slice("MIG-1", 3, 0, used_mb=4), Slice("MIG-2", 5, 1)]
    nvml = FakeNvml(Card("GPU-a"), Card("GPU-b", slices=slices))

    (found,) = reader(nvml, CUDA_VISIBLE_DEVICES="1").read()

    assert found == Gpu(1, "MIG-GPU-b/3/0", None, 4.0, 80.0, 60.0, None)


def test_a_slice_that_is_made_anew_is_found_again():
    """Its handle is invalid, and so is that of its predecessor."""
    nvml = FakeNvml(Card("GPU-a", slices=[Slice("MIG-1", 3, 0)]))
    read = reader(nvml).read
    read()
    nvml.cards[0].faults[""] = nvml.NVMLError_InvalidArgument()
    assert read() == (Gpu(0, "MIG-GPU-a/3/0"),)

    nvml.cards[0] = Card("GPU-a", slices=[Slice("MIG-9", 5, 0, used_mb=6)])
    nvml.cards[0].faults.clear()
    read()

    assert read()[0].memory_used_mb == 6


@pytest.mark.parametrize("function", ["", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID"])
@pytest.mark.parametrize(
    "error",
    [
        FakeNvml.NVMLError_GpuIsLost(),
        FakeNvml.NVMLError_Unknown(),
        FakeNvml.NVMLError_NoPermission(),
        OSError("ctypes"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("since", ["the start", "later"])
def test_a_bad_gpu_costs_itself_while_it_is_bad(function, error, since, caplog):
    """Whatever NVML or its binding raises; the others are still reported, and it recovers."""
    caplog.set_level(logging.INFO, "trainbridge")
    nvml = two()
    read = reader(nvml).read
    if since == "later":
        assert indices(read()) == [0, 1]
        function = ""
    nvml.cards[0].faults[function] = error

    assert [indices(read()) for _ in range(3)] == [[1]] * 3
    assert len(caplog.records) == 1
    assert "GPU 0 is not reported" in caplog.text

    nvml.cards[0].faults.clear()
    assert [indices(read()) for _ in range(2)] == [[0, 1]] * 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    nvml.cards[0].faults[""] = error
    read()
    assert len(caplog.records) == 3


def test_a_gpu_that_is_lost_between_two_values_is_not_reported_in_part():
    """Earlier readings belong to a GPU that is gone."""
    nvml = two()
    nvml.cards[1].faults["nvmlDeviceGetPowerUsage"] = nvml.NVMLError_GpuIsLost()

    assert indices(reader(nvml).read()) == [0]


def test_a_lost_gpu_keeps_its_place():
    """The others are still found by UUID and by local rank, and the missing one is visible as such."""
    nvml = two()
    read = reader(nvml, CUDA_VISIBLE_DEVICES="GPU-a,GPU-b").read
    read()
    nvml.cards[0].faults[""] = nvml.NVMLError_GpuIsLost()

    first, second = read()

    assert (first, second.uuid) == (None, "GPU-b")


def test_the_gpus_of_others_are_left_alone():
    """A hanging or lost one does not affect this process."""
    nvml = two()
    read = reader(nvml, CUDA_VISIBLE_DEVICES="1").read
    read()
    nvml.calls.clear()

    read()

    assert {call[1] for call in nvml.calls if len(call) > 1} == {1}


def test_the_variable_counts_as_it_was_at_the_first_reading():
    """CUDA reads the variables once; a later value is for child processes."""
    environment = {"CUDA_VISIBLE_DEVICES": "1"}
    read = GpuReader(two(), "visible", environment).read
    assert indices(read()) == [1]

    environment["CUDA_VISIBLE_DEVICES"] = ""

    assert indices(read()) == [1]


@pytest.mark.parametrize(
    "error",
    [
        FakeNvml.NVMLError_Uninitialized(),
        FakeNvml.NVMLError_DriverNotLoaded(),
        FakeNvml.NVMLError_LibRmVersionMismatch(),
        NVMLError(),
        OSError("libnvidia-ml.so"),
    ],
    ids=repr,
)
def test_a_driver_that_is_reloaded_is_met_again(error, caplog):
    """NVML is tried again, less and less often, and the outage is logged once."""
    clock, nvml = Clock(), two()
    read = reader(nvml, clock).read
    assert len(read()) == 2
    nvml.driver_fault = error

    assert read() == ()
    tries = []
    for _ in range(2000):
        clock.seconds += 1
        nvml.calls.clear()
        assert read() == ()
        if nvml.calls:
            tries.append(clock.seconds)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert tries[0] == FIRST_RETRY_SECONDS
    assert max(pauses) == pauses[-1] == MAX_RETRY_SECONDS
    assert len(caplog.records) == 1

    nvml.driver_fault = None
    clock.seconds += MAX_RETRY_SECONDS
    assert indices(read()) == [0, 1]


def test_one_answer_can_say_that_nvml_itself_is_down():
    """It is not a failure of the GPU that was queried."""
    clock, nvml = Clock(), two()
    read = reader(nvml, clock).read
    read()
    nvml.cards[0].faults["nvmlDeviceGetMemoryInfo"] = nvml.NVMLError_Uninitialized()
    assert read() == ()

    nvml.cards[0].faults.clear()
    clock.seconds += FIRST_RETRY_SECONDS

    assert indices(read()) == [0, 1]
    assert nvml.calls.count(("nvmlInit",)) == 2


def test_a_machine_without_a_driver_logs_nothing(caplog):
    """The machine has no NVIDIA GPU."""
    nvml = two()
    nvml.driver_fault = nvml.NVMLError_DriverNotLoaded()

    assert reader(nvml).read() == ()
    assert caplog.records == []


def test_none_asks_nothing():
    """Not even to find out whether there is a driver."""
    nvml = two()

    assert reader(nvml, gpus="none").read() == ()
    assert nvml.calls == []
