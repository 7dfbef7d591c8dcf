"""The mean loss of an epoch, where the loop does not compute it."""

MEAN_LOSS = "the mean of the epoch's batches"
"""In place of a loss: computed where the losses have arrived, so that nobody waits for a device."""


class EpochLosses:
    """Adds up the losses of one epoch after the other."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._sum = 0.0
        self._count = 0

    def add(self, epoch: int, loss: float | None) -> None:
        """Count the loss of a batch; None is not reported."""
        if epoch != self._epoch:
            self._epoch, self._sum, self._count = epoch, 0.0, 0
        if loss is not None:
            self._sum += loss
            self._count += 1

    def mean(self, epoch: int) -> float | None:
        """Return the mean over an epoch; None where none of its losses has been reported."""
        return self._sum / self._count if self._count and epoch == self._epoch else None
