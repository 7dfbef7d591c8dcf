"""How the resources that a training process uses change the series of its session."""

from collections.abc import Iterator

from bridge.hardware import Gpu, Resources
from bridge.sinks.metrics.labels import label_suffix
from bridge.sinks.metrics.series import END_OF_LABELS, SessionSeries
from bridge.sinks.metrics.values import reported_value

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
    ("sm_clock_hertz", "sm_clock_mhz"),
    ("ecc_errors", "ecc_errors"),
    ("xid_errors", "xid_errors"),
)
"""Attributes of a Gpu, and their names in the protocol."""

OTHER_REASON = "other"

THROTTLE_REASONS = (
    *("power", "hardware", "hardware_thermal", "power_brake", "sync_boost", "thermal"),
    OTHER_REASON,
)
"""Values of the label `reason`; any further one that a client reports is `other`."""


def show_resources(series: SessionSeries, used: Resources) -> None:
    """Set the gauges of the process and of its GPUs, each index under one UUID at a time.

    A value that is not in `used` is removed: it belonged to an earlier measurement.
    """
    series.cpu_utilization_ratio = reported_value(series, "cpu_percent", used.cpu_utilization_ratio)
    series.memory_used_bytes = reported_value(series, "memory_mb", used.memory_used_bytes)
    newest = {gpu.index: gpu for gpu in used.gpus}
    gpus = list(newest.values())[:GPUS_LIMIT]
    if len(newest) > len(gpus):
        series.shared.telemetry.dropped("gpu", "limit", len(newest) - len(gpus))
    series.gpus = {gpu.index: (gpu.uuid, _gpu_label(series, gpu)) for gpu in gpus}
    for name, field in GPU_FIELDS:
        reported = (
            (series.gpus[gpu.index][1], reported_value(series, field, getattr(gpu, name)))
            for gpu in gpus
        )
        values = {label: value for label, value in reported if value is not None}
        setattr(series, f"gpu_{name}", values)
    series.gpu_throttled = {
        label: value
        for gpu in gpus
        if gpu.throttle_reasons is not None
        for label, value in _throttled(series.gpus[gpu.index][1], gpu.throttle_reasons)
    }


def _throttled(gpu_label: str, reasons: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield the label of each known reason, and whether it slows this GPU down."""
    given = {reason if reason in THROTTLE_REASONS else OTHER_REASON for reason in reasons}
    start = gpu_label.removesuffix(END_OF_LABELS)
    for reason in THROTTLE_REASONS:
        yield start + label_suffix(("reason", reason)), int(reason in given)


def _gpu_label(series: SessionSeries, gpu: Gpu) -> str:
    known = series.gpus.get(gpu.index)
    if known is not None and known[0] == gpu.uuid:
        return known[1]
    return label_suffix(("gpu", str(gpu.index)), ("gpu_uuid", gpu.uuid[:GPU_UUID_LIMIT]))
