"""What a process uses of its machine, as a message of the protocol."""

from bridge.client.resource_usage import Gpu, ResourceUsage
from bridge.wire import metrics_pb2 as wire


def usage_of(usage: ResourceUsage) -> wire.ResourceUsage:
    """Return what is known: fields that are left out read as not reported."""
    first = usage.gpus[0] if usage.gpus and not usage.first_gpu_missing else None
    return wire.ResourceUsage(
        cpu_percent=usage.cpu_percent or 0.0,
        memory_mb=usage.memory_mb or 0.0,
        gpu_percent=(first and first.utilization_percent) or 0.0,
        gpu_memory_mb=(first and first.memory_used_mb) or 0.0,
        gpus=[_gpu(gpu) for gpu in usage.gpus],
    )


def _gpu(gpu: Gpu) -> wire.GpuUsage:
    return wire.GpuUsage(
        index=gpu.index,
        uuid=gpu.uuid,
        utilization_percent=gpu.utilization_percent,
        memory_used_mb=gpu.memory_used_mb,
        memory_total_mb=gpu.memory_total_mb,
        temperature_celsius=gpu.temperature_celsius,
        power_watts=gpu.power_watts,
        throttle_reasons=gpu.throttle_reasons or (),
        throttle_reported=gpu.throttle_reasons is not None,
        ecc_errors=gpu.ecc_errors,
        xid_errors=gpu.xid_errors,
        sm_clock_mhz=gpu.sm_clock_mhz,
    )
