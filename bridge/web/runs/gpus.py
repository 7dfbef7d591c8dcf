"""What the GPUs of one rank report together."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from bridge.hardware import Gpu


class GpuSummary(NamedTuple):
    """The GPUs of one rank, at one moment; None: none of them reports it."""

    utilization: float | None = None
    """The mean."""
    memory_used: float | None = None
    memory_total: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    """Those of any of them; empty: none is slowed down."""
    errors: int | None = None
    """ECC and XID errors."""


NO_GPUS = GpuSummary()


def summary_of(gpus: Iterable[Gpu]) -> GpuSummary:
    """Return what GPUs report together."""
    gpus = tuple(gpus)
    utilizations = _reported(gpu.utilization_ratio for gpu in gpus)
    used = _reported(gpu.memory_used_bytes for gpu in gpus)
    total = _reported(gpu.memory_total_bytes for gpu in gpus)
    reasons = [gpu.throttle_reasons for gpu in gpus if gpu.throttle_reasons is not None]
    errors = [
        count for gpu in gpus for count in (gpu.ecc_errors, gpu.xid_errors) if count is not None
    ]
    return GpuSummary(
        sum(utilizations) / len(utilizations) if utilizations else None,
        sum(used) if used else None,
        sum(total) if total else None,
        tuple(sorted({one for each in reasons for one in each})) if reasons else None,
        sum(errors) if errors else None,
    )


def _reported(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]
