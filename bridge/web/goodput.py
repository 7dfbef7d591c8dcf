"""Goodput: how much of the time of an attempt was spent on training."""

from collections.abc import Mapping

from bridge.protocol import LOST_PHASE

TRAINING = "training"


def own_goodput_ratio(seconds: Mapping[str, float]) -> float | None:
    """Return the share of training in the seconds of all phases but what was lost before, 0..1; None: nothing was trained."""
    total = sum(passed for name, passed in seconds.items() if name != LOST_PHASE)
    training = seconds.get(TRAINING, 0.0)
    return min(1.0, training / total) if training > 0 else None
