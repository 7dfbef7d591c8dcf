"""What a rank that reports lightly has to say: how many steps it has taken, and how long they took."""

import time
from collections.abc import Callable
from typing import Any

from bridge.client.capture.positions import Position, known_step
from bridge.client.throughput import Throughput

REFUSAL = (
    "commands go to the session of rank 0, which the other ranks follow; this one only measures"
)
"""The answer to a command that comes to a rank that reports lightly: alone it must not pause or stop."""


class LightSteps:
    """Takes the calls of the loop in place of `Capture`, and counts and times its steps.

    It reads nothing of what it is given but plain numbers that say where the loop is: no loss, image or
    tensor is touched. One thread counts and another reads, without a lock: a reading is off by one step at most.
    """

    __slots__ = (
        *("_clock", "_epoch", "_last_at", "_measured"),
        *("batches", "busy_seconds", "next_step", "position", "timed"),
    )

    def __init__(self, next_step: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin before the first step, which is `next_step` where the loop counts by steps alone."""
        self._clock = clock
        self.batches = 0
        """Steps so far."""
        self.timed = 0
        """How many of them `busy_seconds` is of: what lies between two epochs is not a step."""
        self.busy_seconds = 0.0
        self.position: Position = (None, None, None)
        """Of the last step."""
        self.next_step = next_step
        self._epoch: int | None = None
        self._last_at: float | None = None
        """When the last step ended; None: the next one has no known beginning."""
        self._measured = (0, 0.0)
        """`timed` and `busy_seconds` at the last measurement."""

    def batch(self, _loss: Any, position: Position, *_others: Any) -> None:
        """Count a step, and how long it took if it follows another one of its epoch."""
        now, last = self._clock(), self._last_at
        epoch, batch, step = position
        if epoch is batch is None:
            if step is None:
                step = self.next_step
                position = (None, None, step)
            if (known := known_step(step)) is not None:
                self.next_step = known + 1
        elif type(epoch) is int and epoch != self._epoch:
            self._epoch, last = epoch, None
        if last is not None:
            self.busy_seconds += now - last
            self.timed += 1
        self._last_at = now
        self.position = position
        self.batches += 1

    def epoch(self, *_averages: Any) -> None:
        """Note that an epoch has ended: what follows, such as a validation, is not a step."""
        self._last_at = None

    def scalars(self, *_numbers: Any) -> None:
        """Leave them to rank 0."""

    def event(self, *_what: Any) -> None:
        """Leave it to rank 0."""

    @property
    def step(self) -> int | None:
        """The step of the last batch; None where the loop reports none."""
        return known_step(self.position[2])

    @property
    def batch_seconds(self) -> float:
        """What a step has taken on average; 0: not known yet."""
        return self.busy_seconds / self.timed if self.timed else 0.0

    def measure(self) -> Throughput | None:
        """Return what a step has taken since the last measurement, or on average if there was none; None: not known."""
        timed, busy = self.timed, self.busy_seconds
        before, busy_before = self._measured
        self._measured = (timed, busy)
        if not timed:
            return None
        if timed == before:
            before, busy_before = 0, 0.0
        return Throughput((busy - busy_before) / (timed - before), 0.0, 0.0, 0.0, 0.0)
