"""What logging costs a loop on a GPU that never waits for it, beside `loss.item()` and other loggers."""

import argparse
import importlib
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from bridges import bridge
from figures import MEBIBYTE, MICROSECONDS, MILLISECONDS, median, percentile
from messages import CLASSES
from processes import BenchmarkError
from row import Row
from table import table

from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge

STEP_SECONDS = 0.015
AHEAD = 2
"""Steps that the loop may be ahead of its device, as one is whose data loader holds it back."""

BATCH = 64
SIDE = 224
MATRIX = {"cuda": 4096, "cpu": 256}
"""Side of the matrices that a step multiplies."""

LOSS_MICROSECONDS = 25.0
IMAGES_MICROSECONDS = 80.0
SLOWED_PERCENT = 0.5
DELIVERY_SECONDS = 60.0

SYNCHRONISING = "called a synchronizing CUDA operation"
"""What PyTorch warns of in the mode that looks for it."""

Log = Callable[[int, Any], object]
"""Says something of a step, given its number and what it computed."""


@dataclass(frozen=True, slots=True)
class Logger:
    """One way to say what a step computed."""

    name: str
    opened: Callable[[], AbstractContextManager[Log]]
    limit_microseconds: float | None = None
    """Of the median, where it is ours."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a loop took with one logger."""

    step_seconds: float
    call_seconds: Sequence[float]
    synchronisations: float | None
    """Of a call; None where nobody can count them."""
    peak_bytes: int | None
    """Of device memory."""


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Measure on the first CUDA device; one row that says so where there is none."""
    if not has_cuda():
        yield Row(
            name="log_batch on a GPU",
            regime="not measured here: no CUDA device",
            figure=None,
            unit="",
        )
        return
    with bridge() as served:
        yield from measured("cuda", served.server.grpc_address, quick=quick)


def has_cuda() -> bool:
    """Return whether PyTorch is there and finds a device."""
    return find_spec("torch") is not None and bool(_torch().cuda.is_available())


def measured(device: str, target: str | RecordingBridge, *, quick: bool) -> Iterator[Row]:
    """Time the same steps with each logger; `target` is where our own sessions report to."""
    steps, rounds = (20, 2) if quick else (200, 5)
    loop = Loop(device)
    ours = [
        Logger("loss only", lambda: _ours(target, loop, loss_only=True), LOSS_MICROSECONDS),
        Logger(
            f"{BATCH} images 3x{SIDE}x{SIDE}, logits, labels",
            lambda: _ours(target, loop, loss_only=False),
            IMAGES_MICROSECONDS,
        ),
    ]
    peers = [Logger("loss.item()", lambda: nullcontext(lambda _, step: step.loss.item()))]
    peers += [peer for package, peer in PEERS.items() if find_spec(package) is not None]
    plain = Logger("nothing", lambda: nullcontext(lambda *_: None))
    taken = _taken([plain, *ours, *peers], loop, steps, rounds)
    regime = f"steps of {taken[plain.name].step_seconds * MILLISECONDS:.1f} ms on {loop.card}"
    for logger in ours:
        yield from _rows(logger, taken, [peer.name for peer in peers], regime)
    missing = [package for package in PEERS if find_spec(package) is None]
    if missing:
        yield Row(
            name=f"peers: {', '.join(missing)}",
            regime="not measured here: not installed",
            figure=None,
            unit="",
        )


class Loop:
    """Training as a device sees it: much arithmetic, then a loss, logits and the batch itself."""

    def __init__(self, device: str) -> None:
        """Find out how much arithmetic takes as long as a step."""
        torch = _torch()
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
            _torch().cuda.synchronize()

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
            ends.append(self._event())
            if len(ends) > AHEAD and self.is_cuda:
                ends.pop(0).synchronize()
        self.wait()
        return (clock() - started) / steps, calls

    def synchronisations(self, log: Log, steps: int, first: int) -> float | None:
        """Return how often a call waits for the device, by PyTorch's own count."""
        if not self.is_cuda:
            return None
        cuda, found = _torch().cuda, 0
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

    def _event(self) -> Any:
        if not self.is_cuda:
            return None
        event = _torch().cuda.Event()
        event.record()
        return event


@dataclass(frozen=True, slots=True)
class Step:
    """What a step computed."""

    loss: Any
    logits: Any


def _taken(loggers: Sequence[Logger], loop: Loop, steps: int, rounds: int) -> Mapping[str, Taken]:
    """Run all loggers in turns, several times, since a card's clock changes; each by its median round."""
    found: dict[str, list[Taken]] = {logger.name: [] for logger in loggers}
    for _ in range(rounds):
        for logger in loggers:
            with logger.opened() as log:
                loop.run(log, AHEAD + 1)  # whatever is set up at first use
                first = AHEAD + 1
                count = loop.synchronisations(log, AHEAD + 1, first)
                first += 0 if count is None else AHEAD + 1
                if loop.is_cuda:
                    _torch().cuda.reset_peak_memory_stats()
                step_seconds, calls = loop.run(log, steps, first)
                peak = _torch().cuda.max_memory_allocated() if loop.is_cuda else None
            found[logger.name].append(Taken(step_seconds, calls, count, peak))
    return {name: _middle(taken) for name, taken in found.items()}


def _middle(taken: Sequence[Taken]) -> Taken:
    """Return one for all rounds: the median step, all calls, and the most of the rest."""
    counts = [each.synchronisations for each in taken if each.synchronisations is not None]
    peaks = [each.peak_bytes for each in taken if each.peak_bytes is not None]
    return Taken(
        median([each.step_seconds for each in taken]),
        [seconds for each in taken for seconds in each.call_seconds],
        max(counts, default=None),
        max(peaks, default=None),
    )


def _rows(
    logger: Logger, taken: Mapping[str, Taken], peers: Sequence[str], regime: str
) -> Iterator[Row]:
    """Compare one of ours with those that say the loss alone."""
    ours, plain = taken[logger.name], taken["nothing"]

    def slowed(name: str) -> float:
        return (taken[name].step_seconds / plain.step_seconds - 1) * 100

    percent = slowed(logger.name)
    yield Row(
        name=f"training slowed, {logger.name}",
        regime=regime,
        figure=percent,
        unit="% of a step",
        target=f"<= {SLOWED_PERCENT:g} %",
        met=percent <= SLOWED_PERCENT,
        peers={peer: slowed(peer) for peer in peers},
    )
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        figure = percentile(ours.call_seconds, share) * MICROSECONDS
        limit = logger.limit_microseconds if share == 0.5 else None
        yield Row(
            name=f"log_batch, {logger.name}, {name}",
            regime=regime,
            figure=figure,
            unit="us",
            target=f"<= {limit:g} us" if limit else "",
            met=figure <= limit if limit else None,
            peers={
                peer: percentile(taken[peer].call_seconds, share) * MICROSECONDS for peer in peers
            },
        )
    if ours.synchronisations is not None:
        yield Row(
            name=f"log_batch, {logger.name}: synchronisations",
            regime=regime,
            figure=ours.synchronisations,
            unit="a call",
            target="0",
            met=not ours.synchronisations,
            peers={peer: taken[peer].synchronisations or 0.0 for peer in peers},
        )
    if ours.peak_bytes is not None and plain.peak_bytes is not None:
        more = (ours.peak_bytes - plain.peak_bytes) / MEBIBYTE
        yield Row(
            name=f"log_batch, {logger.name}: device memory",
            regime=regime,
            figure=more,
            unit="MiB more than without",
            target="<= 1 MiB",
            met=more <= 1,
        )


@contextmanager
def _ours(target: str | RecordingBridge, loop: Loop, *, loss_only: bool) -> Iterator[Log]:
    """Give log_batch of a new session, and check that every batch has arrived and been acknowledged."""
    session = TrainingSession(target, model="benchmark", strict=False)
    session.flush(DELIVERY_SECONDS)
    calls = 0

    def log(number: int, step: Step) -> None:
        nonlocal calls
        calls += 1
        if loss_only:
            session.log_batch(step.loss, epoch=0, batch=number)
        else:
            session.log_batch(
                step.loss,
                epoch=0,
                batch=number,
                images=loop.images,
                predictions=step.logits,
                ground_truth=loop.labels,
            )

    yield log
    left = session.close(DELIVERY_SECONDS)
    stats = session.stats
    if left or stats.faults or stats.batches_acknowledged != calls or stats.images_waiting:
        raise BenchmarkError(f"{calls} batches were logged, {left} not delivered: {stats}")
    if not loss_only and (not stats.images_sent or stats.images_given != calls * BATCH):
        raise BenchmarkError(f"{calls} batches of images were given: {stats}")


@contextmanager
def _tensorboard() -> Iterator[Log]:
    with tempfile.TemporaryDirectory() as folder:
        module = importlib.import_module("torch.utils.tensorboard")
        writer = module.SummaryWriter(folder)
        yield lambda number, step: writer.add_scalar("loss", step.loss, number)
        writer.close()


@contextmanager
def _wandb() -> Iterator[Log]:
    os.environ["WANDB_SILENT"] = "true"
    with tempfile.TemporaryDirectory() as folder:
        run = importlib.import_module("wandb").init(mode="offline", project="loss", dir=folder)
        yield lambda number, step: run.log({"loss": step.loss}, step=number)
        run.finish()


PEERS: Mapping[str, Logger] = {
    "tensorboard": Logger("tensorboard", _tensorboard),
    "wandb": Logger("wandb offline", _wandb),
}
"""By the package they come in."""


def _torch() -> Any:
    return importlib.import_module("torch")


def main() -> None:
    """Run alone, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs, rough figures")
    print(table(list(rows(parser.parse_args().quick))))


if __name__ == "__main__":
    main()
