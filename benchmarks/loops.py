"""Training loops of different gaits, and how long calls made in them take."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

STEPS_PER_SECOND = 60

Call = Callable[[int], object]
"""What a loop does at the end of a step, given its number."""

Between = Callable[[float], None]
"""What a loop does until a moment of time.perf_counter."""

_VALUES = np.linspace(0.0, 1.0, 20_000)
_RESULT = np.empty_like(_VALUES)


@dataclass(frozen=True, slots=True)
class Gait:
    """How a loop goes from one step to the next."""

    name: str
    between: Between | None
    """None: at full speed, with nothing between the steps."""


def compute_once() -> None:
    """Do a fraction of a millisecond of arithmetic; other threads may run meanwhile."""
    np.tanh(_VALUES, out=_RESULT)


def compute_until(moment: float) -> None:
    """Do arithmetic until a moment."""
    while time.perf_counter() < moment:
        compute_once()


def sleep_until(moment: float) -> None:
    """Sleep until a moment, as a loop does that waits for a GPU or a disk."""
    time.sleep(max(0.0, moment - time.perf_counter()))


FULL_SPEED = Gait("full speed", None)
SLEEPING = Gait("60/s sleeping", sleep_until)
COMPUTING = Gait("60/s computing", compute_until)

GAITS = (FULL_SPEED, SLEEPING, COMPUTING)


def durations(call: Call, gait: Gait, steps: int) -> Sequence[float]:
    """Return how long each call took, in seconds; the clock itself takes about 0.1 us of it."""
    clock = time.perf_counter
    taken = []
    started = clock()
    for step in range(steps):
        if gait.between is not None:
            gait.between(started + step / STEPS_PER_SECOND)
        before = clock()
        call(step)
        taken.append(clock() - before)
    return taken
