"""What a training process uses of its machine, at one moment."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment; None: not reported."""

    index: int
    uuid: str = ""
    utilization_ratio: float | None = None
    memory_used_bytes: float | None = None
    memory_total_bytes: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    """Why it runs slower than it could; empty: it does not."""
    ecc_errors: int | None = None
    """Uncorrected memory errors since the driver was loaded."""
    xid_errors: int | None = None
    """Since the training process began."""
    sm_clock_hertz: float | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What a training process uses; None: not reported."""

    cpu_utilization_ratio: float | None = None
    """1 is one core's worth; may exceed 1."""
    memory_used_bytes: float | None = None
    gpus: tuple[Gpu, ...] = ()

    @property
    def gpu_utilization_ratio(self) -> float | None:
        """The mean over all GPUs that report theirs, 0..1."""
        used = [gpu.utilization_ratio for gpu in self.gpus if gpu.utilization_ratio is not None]
        reported = list(filter(math.isfinite, used))
        return sum(reported) / len(reported) if reported else None
