"""Training throughput, measured by when the loop makes its calls."""

import math
from dataclasses import dataclass

REPORT_SECONDS = 5.0
"""How often throughput is reported."""

FIRST_REPORT_SECONDS = 1.0
"""How soon it is first reported, after the first batch."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """The numbers of a PerformanceData message."""

    batch_seconds: float
    epoch_seconds: float
    remaining_seconds: float
    samples_per_second: float
    samples_per_second_average: float


class ThroughputMeter:
    """Records when batches and epochs end; all times are monotonic, in seconds."""

    def __init__(self, *, epochs: int, batches_per_epoch: int) -> None:
        """Start before the first batch; 0: not reported. A run by steps has one epoch of all its steps."""
        self._epochs = epochs
        self._batches_per_epoch = batches_per_epoch
        self._first_epoch: int | None = None
        self._epoch = 0
        self._epoch_started = 0.0
        self._epoch_batches = 0
        self._last_epoch_seconds = 0.0
        self._step: int | None = None
        self._previous: float | None = None
        self._batches = 0
        self._busy_seconds = 0.0
        self._samples = 0
        self._reported = (0, 0, 0.0)
        self.due_at = math.inf
        """When the next measurement is due."""

    def plan(self, epochs: int, batches_per_epoch: int) -> None:
        """Go on knowing how long the run will be; 0: not reported."""
        self._epochs, self._batches_per_epoch = epochs, batches_per_epoch

    @property
    def batch_seconds(self) -> float:
        """What a batch has taken on average; 0 while none is known."""
        return self._busy_seconds / self._batches if self._batches else 0.0

    def record_batch(
        self, at: float, epoch: int, samples: int, step: int | None = None
    ) -> float | None:
        """Record the end of a batch; return how long it took, or None where that is not known.

        `step` is where a run is that counts by steps, from 0.
        """
        self._step = step
        if self._first_epoch is None or epoch != self._epoch:
            self._start_epoch(at, epoch)
        duration = None if self._previous is None else max(0.0, at - self._previous)
        self._previous = at
        if self.due_at == math.inf:
            self.due_at = at + FIRST_REPORT_SECONDS
        self._epoch_batches += 1
        if duration is not None:
            self._batches += 1
            self._busy_seconds += duration
            self._samples += samples
        return duration

    def record_epoch(self, at: float) -> None:
        """Record the end of an epoch, after which a measurement is due."""
        self.due_at = min(self.due_at, at)
        if self._first_epoch is not None:
            self._last_epoch_seconds = at - self._epoch_started
            self._epoch_started = at
            self._epoch_batches = 0
        self._previous = at

    def record_resume(self, at: float) -> None:
        """Record that training resumes after a pause, which does not count as training time."""
        if self._previous is not None:
            self._epoch_started += at - self._previous
        self._previous = at

    def measure(self, at: float) -> Throughput | None:
        """Return the throughput since the last measurement and on average; None before there is any."""
        self.due_at = math.inf if self._first_epoch is None else at + REPORT_SECONDS
        if not self._batches:
            return None
        batches, samples, busy = self._reported
        self._reported = (self._batches, self._samples, self._busy_seconds)
        if self._batches == batches:
            batches, samples, busy = 0, 0, 0.0
        recent_seconds = max(self._busy_seconds - busy, 1e-9)
        return Throughput(
            batch_seconds=recent_seconds / (self._batches - batches),
            epoch_seconds=self._epoch_seconds(at),
            remaining_seconds=self._remaining(at),
            samples_per_second=(self._samples - samples) / recent_seconds,
            samples_per_second_average=self._samples / max(self._busy_seconds, 1e-9),
        )

    def _start_epoch(self, at: float, epoch: int) -> None:
        if self._first_epoch is None:
            self._first_epoch = epoch
            self._epoch_started = at
        elif self._epoch_batches:  # the loop does not report when epochs end
            self._last_epoch_seconds = at - self._epoch_started
            self._epoch_started = at
            self._epoch_batches = 0
            self._previous = None  # what lay in between, such as a validation pass, is not a batch
        self._epoch = epoch

    def _epoch_seconds(self, at: float) -> float:
        """Return how long the last epoch took, or the first one so far; 0 where there are none."""
        if self._step is not None:
            return 0.0
        return self._last_epoch_seconds or at - self._epoch_started

    def _remaining(self, at: float) -> float:
        """Return the time left of this epoch and those to come; 0 where their number was not reported."""
        if not self._epochs:
            return 0.0
        if self._step is not None:
            return self.batch_seconds * max(0, self._batches_per_epoch - 1 - self._step)
        epoch_seconds = self._last_epoch_seconds or self.batch_seconds * self._batches_per_epoch
        base = 1 if self._first_epoch else 0  # loops count from 0 or from 1
        epochs_to_come = max(0, self._epochs - 1 - (self._epoch - base))
        has_ended = self._epoch_batches == 0
        rest = 0.0 if has_ended else max(0.0, epoch_seconds - (at - self._epoch_started))
        return epoch_seconds * epochs_to_come + rest
