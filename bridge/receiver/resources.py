"""From a client's use of processor, memory and GPUs to the frozen model."""

from bridge.hardware import Gpu, Resources
from bridge.model import reported
from bridge.protocol import MEBIBYTE
from bridge.wire import metrics_pb2 as wire


def resources_of(usage: wire.ResourceUsage) -> Resources:
    """Return what a training process reports of its use of the machine."""
    return Resources(
        reported(usage.cpu_percent / 100), reported(usage.memory_mb * MEBIBYTE), _gpus(usage)
    )


def _gpus(usage: wire.ResourceUsage) -> tuple[Gpu, ...]:
    """Return every GPU; the single one of the original protocol is GPU 0, where it says anything.

    That one is idle where it uses memory and no time; it cannot say that it uses no memory.
    """
    if usage.gpus:
        return tuple(_gpu(gpu) for gpu in usage.gpus[:64])
    if usage.gpu_percent or usage.gpu_memory_mb:
        memory = reported(usage.gpu_memory_mb * MEBIBYTE)
        return (Gpu(0, "", usage.gpu_percent / 100, memory),)
    return ()


def _gpu(gpu: wire.GpuUsage) -> Gpu:
    has = gpu.HasField
    return Gpu(
        gpu.index,
        gpu.uuid[:64],
        gpu.utilization_percent / 100 if has("utilization_percent") else None,
        gpu.memory_used_mb * MEBIBYTE if has("memory_used_mb") else None,
        gpu.memory_total_mb * MEBIBYTE if has("memory_total_mb") else None,
        gpu.temperature_celsius if has("temperature_celsius") else None,
        gpu.power_watts if has("power_watts") else None,
        tuple(reason[:32] for reason in gpu.throttle_reasons[:16])
        if gpu.throttle_reported
        else None,
        gpu.ecc_errors if has("ecc_errors") else None,
        gpu.xid_errors if has("xid_errors") else None,
        gpu.sm_clock_mhz * 1e6 if has("sm_clock_mhz") else None,
    )
