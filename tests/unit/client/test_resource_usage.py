"""What this process uses."""

import threading

import psutil
import pytest
from support.fake_nvml import Card, FakeNvml
from support.waiting import until_true

from bridge.client import resource_usage as module
from bridge.client.resource_usage import MAX_AGE_SECONDS, ResourceMonitor


class Clock:
    """A clock that stands still until it is set."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def monitor(nvml, **arguments):
    """Return a monitor of these GPUs, in an environment that selects none."""
    return ResourceMonitor(nvml, environment={}, **arguments)


def two():
    """Return a machine with two GPUs."""
    return FakeNvml(Card("GPU-a"), Card("GPU-b"))


def test_own_gpus_are_reported_at_once():
    """Each with all it reports, the first one first."""
    usage = ResourceMonitor(two(), environment={"CUDA_VISIBLE_DEVICES": "1,0"}).read()

    assert [gpu.uuid for gpu in usage.gpus] == ["GPU-b", "GPU-a"]
    assert not usage.first_gpu_missing


def test_this_process_is_reported():
    """Memory in 2^20 bytes, without GPUs where there is no library for them."""
    usage = monitor(None).read()

    assert usage.gpus == ()
    assert 1 < usage.memory_mb < 1 << 20
    assert usage.cpu_percent >= 0


def test_gpus_can_be_left_out():
    """An unknown setting is rejected when the session is constructed."""
    nvml = two()

    assert monitor(nvml, gpus="none").read().gpus == ()
    assert nvml.calls == []
    with pytest.raises(ValueError, match="gpus"):
        monitor(nvml, gpus="some")


def test_a_first_gpu_that_is_lost_is_not_mistaken_for_the_second():
    """Older bridges know only one GPU, the first."""
    nvml = two()
    nvml.cards[0].faults[""] = nvml.NVMLError_GpuIsLost()

    usage = monitor(nvml).read()

    assert usage.first_gpu_missing
    assert [gpu.uuid for gpu in usage.gpus] == ["GPU-b"]


@pytest.mark.parametrize(
    ("broken", "left"), [("cpu_percent", "memory_mb"), ("memory_info", "cpu_percent")]
)
@pytest.mark.parametrize("error", [psutil.AccessDenied(), OSError(), ValueError()], ids=repr)
def test_cpu_and_memory_fail_independently(broken, left, error, monkeypatch):
    """What the system does not provide is not reported; the other, and the GPUs, are."""

    def fail(*_arguments):
        raise error

    monkeypatch.setattr(psutil.Process, broken, fail)

    usage = monitor(two()).read()

    assert getattr(usage, left) is not None
    assert None in (usage.cpu_percent, usage.memory_mb)
    assert len(usage.gpus) == 2


def test_a_hanging_driver_blocks_nothing_else(monkeypatch, caplog):
    """The process is still reported, the last reading only while it is up to date; one thread hangs."""
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    clock, nvml = Clock(), two()
    watched = monitor(nvml, now=clock)
    until_true(lambda: watched.read().gpus)
    nvml.goes_on.clear()

    for _ in range(20):
        assert len(watched.read().gpus) == 2
    clock.seconds += MAX_AGE_SECONDS + 1
    for _ in range(20):
        assert watched.read().gpus == ()
        assert watched.read().memory_mb > 0
    threads = [t for t in threading.enumerate() if t.name == "trainbridge-gpus"]
    assert len(threads) == 1
    assert len(caplog.records) == 1

    nvml.goes_on.set()
    threads[0].join()
    until_true(lambda: watched.read().gpus)


def test_a_reading_that_took_long_is_old_when_it_is_done(monkeypatch):
    """Its first values were read when it began."""
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    clock, nvml = Clock(), two()
    nvml.goes_on.clear()
    watched = monitor(nvml, now=clock)
    assert watched.read().gpus == ()
    (thread,) = [t for t in threading.enumerate() if t.name == "trainbridge-gpus"]
    clock.seconds += MAX_AGE_SECONDS + 1
    monkeypatch.setattr(threading.Thread, "start", no_thread)

    nvml.goes_on.set()
    thread.join()

    assert watched.read().gpus == ()


def no_thread(_thread):
    """Stand for a process at its limit of threads."""
    raise RuntimeError("can't start new thread")


def test_a_process_without_room_for_a_thread_reports_no_gpus(monkeypatch):
    """Nothing is raised."""
    monkeypatch.setattr(threading.Thread, "start", no_thread)

    assert monitor(two()).read().gpus == ()


def test_what_cuda_shows_decides(monkeypatch):
    """Once it is initialised; before that, and where torch is not loaded, nothing changes."""
    watched = monitor(two())
    watched.record_cuda_devices()
    assert [gpu.uuid for gpu in watched.read().gpus] == ["GPU-a", "GPU-b"]

    monkeypatch.setattr(module, "cuda_view", lambda: module.CudaView(("b", "a"), 0))
    watched.record_cuda_devices()
    monkeypatch.setattr(module, "cuda_view", lambda: None)
    watched.record_cuda_devices()

    assert [gpu.uuid for gpu in watched.read().gpus] == ["GPU-b", "GPU-a"]
