"""What goes wrong in a demo, so that there is something to find."""

from dataclasses import dataclass

MISHAP_EPOCHS = 3
"""In every so many epochs the labels of a few batches are wrong, and the loss jumps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishaps:
    """In which epochs; 0: never."""

    spike_every: int = MISHAP_EPOCHS
    hang_epoch: int = 0
    """From here on the first run waits for another rank that does not come."""
    diverge_epoch: int = 0
    """From here on the learning rate of the first run is far too high."""

    @property
    def of_later_runs(self) -> "Mishaps":
        """Return what goes wrong in the runs after the first one."""
        return Mishaps(spike_every=self.spike_every)


USUAL = Mishaps()
