"""How the resources a training process uses change the series of its session."""

from bridge.model import Gpu, Resources
from bridge.sinks.metrics.labels import closed
from bridge.sinks.metrics.series import SessionSeries
from bridge.sinks.metrics.values import measured

GPUS_LIMIT = 64
"""GPUs per session."""

GPU_UUID_LIMIT = 64
"""Characters; NVML's have 40."""

GPU_FIELDS = (
    ("utilization_ratio", "utilization_percent"),
    ("memory_used_bytes", "memory_used_mb"),
    ("memory_total_bytes", "memory_total_mb"),
    ("temperature_celsius", "temperature_celsius"),
    ("power_watts", "power_watts"),
)
"""Of a Gpu, and what the protocol calls them."""


def take_resources(series: SessionSeries, used: Resources) -> None:
    """Show what the process uses, and its GPUs, each index under one UUID at a time.

    Only what is reported here: what was measured before and is not now has no value any more.
    """
    series.cpu_utilization_ratio = measured(series, "cpu_percent", used.cpu_utilization_ratio)
    series.memory_used_bytes = measured(series, "memory_mb", used.memory_used_bytes)
    newest = {gpu.index: gpu for gpu in used.gpus}
    gpus = list(newest.values())[:GPUS_LIMIT]
    if len(newest) > len(gpus):
        series.shared.telemetry.dropped("gpu", "limit", len(newest) - len(gpus))
    series.gpus = {gpu.index: (gpu.uuid, _gpu_label(series, gpu)) for gpu in gpus}
    for name, field in GPU_FIELDS:
        found = (
            (series.gpus[gpu.index][1], measured(series, field, getattr(gpu, name))) for gpu in gpus
        )
        values = {label: value for label, value in found if value is not None}
        setattr(series, f"gpu_{name}", values)


def _gpu_label(series: SessionSeries, gpu: Gpu) -> str:
    known = series.gpus.get(gpu.index)
    if known is not None and known[0] == gpu.uuid:
        return known[1]
    return closed(("gpu", str(gpu.index)), ("gpu_uuid", gpu.uuid[:GPU_UUID_LIMIT]))
