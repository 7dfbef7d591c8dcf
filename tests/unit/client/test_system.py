"""What this process uses."""

from types import SimpleNamespace

from bridge.client.system import MEBIBYTE, System


class Nvml:
    """As much of NVML as is used: two GPUs, of which the second does not tell its power."""

    NVML_TEMPERATURE_GPU = 0
    broken = False

    class NVMLError(Exception):
        """Anything."""

    class NVMLError_NotSupported(NVMLError):  # noqa: N801, N818 -- the library's name
        """This GPU does not tell."""

    def nvmlInit(self):  # noqa: N802
        """Find a driver."""

    def nvmlDeviceGetCount(self):  # noqa: N802
        """Count, unless the driver is gone."""
        if self.broken:
            raise self.NVMLError
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        """Return a handle."""
        return index

    def nvmlDeviceGetUUID(self, index):  # noqa: N802
        """Return bytes, as older versions do."""
        return f"GPU-{index}".encode()

    def nvmlDeviceGetMemoryInfo(self, _index):  # noqa: N802
        """Return bytes in use and in all."""
        return SimpleNamespace(used=10 * MEBIBYTE, total=80 * MEBIBYTE)

    def nvmlDeviceGetUtilizationRates(self, index):  # noqa: N802
        """Return percent."""
        return SimpleNamespace(gpu=50 + index)

    def nvmlDeviceGetTemperature(self, _index, _sensor):  # noqa: N802
        """Return degrees."""
        return 60

    def nvmlDeviceGetPowerUsage(self, index):  # noqa: N802
        """Return milliwatts."""
        if index == 1:
            raise self.NVMLError_NotSupported
        return 300_000


class Driverless(Nvml):
    """The library without a driver."""

    def nvmlInit(self):  # noqa: N802
        """Find none."""
        raise self.NVMLError


def test_every_gpu_is_told():
    """With all it tells, and 0 for what it does not."""
    first, second = System(Nvml()).usage().gpus

    assert (first.uuid, first.utilization_percent, first.power_watts) == ("GPU-0", 50, 300)
    assert (first.memory_used_mb, first.memory_total_mb) == (10, 80)
    assert (second.index, second.power_watts) == (1, 0)


def test_this_process_is_told():
    """Memory in 2^20 bytes, without GPUs where there is no driver."""
    usage = System(Driverless()).usage()

    assert usage.gpus == ()
    assert 1 < usage.memory_mb < 1 << 20
    assert usage.cpu_percent >= 0


def test_a_driver_that_goes_away_ends_nothing():
    """The process is still told."""
    nvml = Nvml()
    system = System(nvml)
    nvml.broken = True

    assert system.usage().gpus == ()
    assert system.usage().memory_mb > 0
