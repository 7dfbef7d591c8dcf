"""Training as a device sees it: steps that do not wait, and what a call within them takes."""

import importlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from messages import CLASSES

STEP_SECONDS = 0.015
AHEAD = 2
"""Steps that the loop may be ahead of its device, as one is whose data loader holds it back."""

BATCH = 64
SIDE = 224
MATRIX = {"cuda": 4096, "cpu": 256}
"""Side of the matrices that a step multiplies."""

SYNCHRONISING = "called a synchronizing CUDA operation"
"""What PyTorch warns of in the mode that looks for it."""

Log = Callable[[int, Any], object]
"""Says something of a step, given its number and what it computed."""


class Loop:
    """Training as a device sees it: much arithmetic, then a loss, logits and the batch itself."""

    def __init__(self, device: str) -> None:
        """Find out how much arithmetic takes as long as a step."""
        torch = torch_module()
        self.device = device
        self.is_cuda = device == "cuda"
        self.card = torch.cuda.get_device_name() if self.is_cuda else "the CPU"
        side = MATRIX[device]
        self._matrix = torch.eye(side, device=device)
        self.images = torch.rand(BATCH, 3, SIDE, SIDE, device=device)
        self.labels = torch.arange(BATCH, device=device) % CLASSES
        self._weights = torch.rand(3, CLASSES, device=device)
        self.products = 1
        seconds = min(self._seconds_of(20) for _ in range(3)) / 20
        self.products = max(1, round(STEP_SECONDS / seconds))

    def step(self) -> "Step":
        """Launch one step."""
        product = self._matrix
        for _ in range(self.products):
            product = product @ self._matrix
        logits = self.images.mean(dim=(2, 3)) @ self._weights * product[0, 0]
        return Step(loss=logits.square().mean(), logits=logits)

    def wait(self) -> None:
        """Wait until all that was launched is done."""
        if self.is_cuda:
            torch_module().cuda.synchronize()

    def run(self, log: Log, steps: int, first: int = 0) -> tuple[float, list[float]]:
        """Return how long a step took, and each call, in seconds."""
        calls, ends = [], []
        clock = time.perf_counter
        self.wait()
        started = clock()
        for number in range(first, first + steps):
            step = self.step()
            before = clock()
            log(number, step)
            calls.append(clock() - before)
            ends.append(self.mark())
            if len(ends) > AHEAD and self.is_cuda:
                ends.pop(0).synchronize()
        self.wait()
        return (clock() - started) / steps, calls

    def synchronisations(self, log: Log, steps: int, first: int) -> float | None:
        """Return how often a call waits for the device, by PyTorch's own count."""
        if not self.is_cuda:
            return None
        cuda, found = torch_module().cuda, 0
        for number in range(first, first + steps):
            step = self.step()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                cuda.set_sync_debug_mode("warn")
                log(number, step)
                cuda.set_sync_debug_mode("default")
            found += sum(SYNCHRONISING in str(warning.message) for warning in caught)
        self.wait()
        return found / steps

    def _seconds_of(self, steps: int) -> float:
        self.run(lambda *_: None, 2)
        return self.run(lambda *_: None, steps)[0] * steps

    def mark(self) -> Any:
        """Return an event behind all that was launched; None where there is no card."""
        if not self.is_cuda:
            return None
        event = torch_module().cuda.Event()
        event.record()
        return event


@dataclass(frozen=True, slots=True)
class Step:
    """What a step computed."""

    loss: Any
    logits: Any


def torch_module() -> Any:
    """Return PyTorch, which is imported where it is there."""
    return importlib.import_module("torch")
