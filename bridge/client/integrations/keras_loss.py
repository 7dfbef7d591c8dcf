"""The loss of one batch, of which Keras gives the mean over the epoch so far."""

from collections.abc import Mapping
from typing import Any


class BatchLoss:
    """Takes the losses of batches out of a running mean, which Keras weighs by their samples."""

    def __init__(self) -> None:
        """Begin before an epoch."""
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Begin with an epoch that has no batch yet."""
        self.batches = 0
        self._mean = 0.0
        self._samples: float | None = 0.0

    def own(
        self, model: Any, batch: int, steps: int | None, logs: Mapping[str, Any]
    ) -> float | None:
        """Return the loss of the batches since the last call, a mean where they are several; None: it is not known.

        Without the number of samples, which a model that is compiled keeps to itself, batches count alike; the
        last one of an epoch may be smaller, and has no loss then.
        """
        mean, before = logs.get("loss"), self._mean
        batches, seen = self.batches, self._samples
        self.batches = batch + 1
        self._samples = samples = _samples_of(model)
        if not isinstance(mean, int | float):
            return None
        self._mean = mean
        if samples is not None and seen is not None and samples > seen:
            return (mean * samples - before * seen) / (samples - seen)
        if batches and steps is not None and self.batches >= steps:
            return None
        return (mean * self.batches - before * batches) / (self.batches - batches)


def _samples_of(model: Any) -> float | None:
    """Return how many samples the running mean is of; None where the backend does not count them as it trains."""
    tracker = getattr(model, "_loss_tracker", None)
    if tracker is None or hasattr(model, "jax_state_sync"):
        return None
    count = tracker.count
    return float(getattr(count, "value", count))
