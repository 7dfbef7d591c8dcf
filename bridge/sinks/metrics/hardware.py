"""How the resources a training process uses change the series of its session."""

from bridge.model import Gpu, Resources
from bridge.sinks.metrics.labels import closed
from bridge.sinks.metrics.series import SessionSeries
from bridge.sinks.metrics.values import seen, told

GPUS_LIMIT = 64
"""GPUs per session."""

GPU_UUID_LIMIT = 64
"""Characters; NVML's have 40."""


def take_resources(series: SessionSeries, used: Resources) -> None:
    """Show what the process uses, and its GPUs, each index under one UUID at a time."""
    series.cpu_utilization_ratio = told(
        series, "cpu_percent", series.cpu_utilization_ratio, used.cpu_utilization_ratio
    )
    series.memory_used_bytes = told(
        series, "memory_mb", series.memory_used_bytes, used.memory_used_bytes
    )
    left_out = 0
    for gpu in used.gpus:
        if gpu.index in series.gpus or len(series.gpus) < GPUS_LIMIT:
            _take_gpu(series, gpu)
        else:
            left_out += 1
    if left_out:
        series.shared.telemetry.dropped("gpu", "limit", left_out)


def _take_gpu(series: SessionSeries, gpu: Gpu) -> None:
    label = _gpu_label(series, gpu)
    for values, name, value in (
        (series.gpu_utilization_ratio, "utilization_percent", gpu.utilization_ratio),
        (series.gpu_memory_used_bytes, "memory_used_mb", gpu.memory_used_bytes),
        (series.gpu_memory_total_bytes, "memory_total_mb", gpu.memory_total_bytes),
        (series.gpu_temperature_celsius, "temperature_celsius", gpu.temperature_celsius),
        (series.gpu_power_watts, "power_watts", gpu.power_watts),
    ):
        if value is not None:
            values[label] = seen(series, name, value)


def _gpu_label(series: SessionSeries, gpu: Gpu) -> str:
    uuid = gpu.uuid[:GPU_UUID_LIMIT]
    known = series.gpus.get(gpu.index)
    if known is not None and known[0] == uuid:
        return known[1]
    if known is not None:
        _forget_gpu(series, known[1])
    label = closed(("gpu", str(gpu.index)), ("gpu_uuid", uuid))
    series.gpus[gpu.index] = (uuid, label)
    return label


def _forget_gpu(series: SessionSeries, label: str) -> None:
    for values in (
        series.gpu_utilization_ratio,
        series.gpu_memory_used_bytes,
        series.gpu_memory_total_bytes,
        series.gpu_temperature_celsius,
        series.gpu_power_watts,
    ):
        values.pop(label, None)
