"""What logging costs a loop on a GPU that never waits for it, beside `loss.item()` and other loggers."""

import argparse
import importlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec

from bridges import bridge
from device_loop import AHEAD, BATCH, SIDE, Log, Loop, Step, torch_module
from figures import MEBIBYTE, MICROSECONDS, MILLISECONDS, median, percentile
from processes import BenchmarkError
from row import Row
from table import table

from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge

LOSS_MICROSECONDS = 25.0
IMAGES_MICROSECONDS = 80.0
SLOWED_PERCENT = 0.5
DELIVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Logger:
    """One way to say what a step computed."""

    name: str
    opened: Callable[[], AbstractContextManager[Log]]
    limit_microseconds: float | None = None
    """Of the median, where it is ours."""
    floor: str = ""
    """The logger that does the least the same work takes."""


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
    return find_spec("torch") is not None and bool(torch_module().cuda.is_available())


def measured(device: str, target: str | RecordingBridge, *, quick: bool) -> Iterator[Row]:
    """Time the same steps with each logger; `target` is where our own sessions report to."""
    steps, rounds = (20, 2) if quick else (200, 5)
    loop = Loop(device)
    floors = [
        Logger("a bare copy of it", lambda: _copying(loop, loss_only=True)),
        Logger("bare copies of them", lambda: _copying(loop, loss_only=False)),
    ]
    ours = [
        Logger(
            "loss only",
            lambda: _ours(target, loop, loss_only=True),
            LOSS_MICROSECONDS,
            floors[0].name,
        ),
        Logger(
            f"{BATCH} images 3x{SIDE}x{SIDE}, logits, labels",
            lambda: _ours(target, loop, loss_only=False),
            IMAGES_MICROSECONDS,
            floors[1].name,
        ),
    ]
    peers = [Logger("loss.item()", lambda: nullcontext(lambda _, step: step.loss.item()))]
    peers += [peer for package, peer in PEERS.items() if find_spec(package) is not None]
    plain = Logger("nothing", lambda: nullcontext(lambda *_: None))
    taken = _taken([plain, *floors, *ours, *peers], loop, steps, rounds)
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
                    torch_module().cuda.reset_peak_memory_stats()
                step_seconds, calls = loop.run(log, steps, first)
                peak = torch_module().cuda.max_memory_allocated() if loop.is_cuda else None
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
            floor=(
                logger.floor,
                percentile(taken[logger.floor].call_seconds, share) * MICROSECONDS,
            ),
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
def _copying(loop: Loop, *, loss_only: bool) -> Iterator[Log]:
    """Give what copies the same values into host memory and marks the end of it, and does nothing else."""
    torch, step = torch_module(), loop.step()
    given = [step.loss] if loss_only else [step.loss, step.logits, loop.labels, loop.images]
    kept = [torch.empty_like(each, device="cpu", pin_memory=loop.is_cuda) for each in given]

    def log(_number: int, step: Step) -> None:
        values = [step.loss] if loss_only else [step.loss, step.logits, loop.labels, loop.images]
        for ours, theirs in zip(kept, values, strict=True):
            ours.copy_(theirs.detach(), non_blocking=True)
        loop.mark()

    yield log
    loop.wait()


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


def main() -> None:
    """Run alone, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs, rough figures")
    print(table(list(rows(parser.parse_args().quick))))


if __name__ == "__main__":
    main()
