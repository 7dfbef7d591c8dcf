"""A training process of its own, which streams a known run with the SDK; run as a script it is that process."""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from support.known_run import CLASSES, KnownRun

from bridge.client import TrainingSession

CLOSE_SECONDS = 90
TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Summary:
    """What a trainer reports at its end."""

    batches: int
    epochs: int
    left: int
    """Messages that were not delivered."""
    stats: dict[str, int]
    """The fields of bridge.client.stats.Stats."""
    wall_seconds: float
    """From the first batch to the last."""
    call_median_seconds: float
    """Time that a call of log_batch took."""
    call_p99_seconds: float
    call_longest_seconds: float


class Trainer:
    """A running trainer."""

    def __init__(self, process: subprocess.Popen[str], run: KnownRun):
        """Watch the process that streams the run."""
        self.process = process
        self.run = run

    def finish(self) -> Summary:
        """Have it stop training, deliver everything and end; return what it reports."""
        output, _ = self.process.communicate(timeout=CLOSE_SECONDS + 30)
        assert self.process.returncode == 0, f"the trainer ended with {self.process.returncode}"
        return Summary(**json.loads(output.splitlines()[-1]))


@contextmanager
def training(
    address: str, run: KnownRun, *, rate: float, batches: int = 0, log: Path | None = None
):
    """Start a trainer that has begun when this yields; `batches` of 0: until `finish`."""
    sizes = (run.epoch_batches, run.samples, run.images_every)
    command = [sys.executable, __file__, address, run.session_id, "--rate", str(rate),
               "--batches", str(batches), "--run", *map(str, sizes)]  # fmt: skip  # flags beside their values
    environment, pipe = (
        {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"},
        subprocess.PIPE,
    )
    with (log or Path(os.devnull)).open("ab") as errors:
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=environment
        )
    try:
        assert process.stdout.readline() == "training\n", "the trainer cannot begin"
        yield Trainer(process, run)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for end in (process.stdin, process.stdout):
            end.close()


def main() -> None:
    """Stream a run until standard input is closed or it is complete, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("session_id")
    parser.add_argument("--rate", type=float, default=60.0)
    parser.add_argument("--batches", type=int, default=0)
    parser.add_argument("--run", type=int, nargs=3, default=(100, 2, 1))
    arguments = parser.parse_args()
    run = KnownRun(arguments.session_id, *arguments.run)
    session = TrainingSession(
        arguments.address,
        session_id=run.session_id,
        batches_per_epoch=run.epoch_batches,
        batch_size=run.samples,
        class_names=CLASSES,
        close_seconds=CLOSE_SECONDS,
    )
    stopping = threading.Event()
    threading.Thread(target=_watch_input, args=(stopping,), daemon=True).start()
    sys.stdout.write("training\n")
    sys.stdout.flush()
    calls, wall_seconds = _train(session, run, arguments.rate, arguments.batches, stopping)
    left = session.close()
    sys.stdout.write(json.dumps(asdict(_summary(session, run, calls, wall_seconds, left))) + "\n")


def _watch_input(stopping: threading.Event) -> None:
    sys.stdin.read()
    stopping.set()


def _train(session, run, rate, batches, stopping) -> tuple[list[float], float]:
    """Return how long each call took, and all of them together with the time between them."""
    calls: list[float] = []
    began = time.monotonic()
    while not stopping.is_set() and (not batches or len(calls) < batches):
        number = len(calls) + 1
        epoch, index = run.place(number)
        given = {
            "images": run.images(number) or None,
            "predictions": (run.predictions(number), run.confidences(number)),
            "ground_truth": run.truths(number),
        }
        called = time.perf_counter()
        session.log_batch(run.loss(number), epoch=epoch, batch=index, **given)
        calls.append(time.perf_counter() - called)
        if run.ends_epoch(number):
            session.log_epoch(epoch, loss=run.epoch_loss(epoch), accuracy=0.5)
        stopping.wait(max(0.0, began + number / rate - time.monotonic()))
    return calls, time.monotonic() - began


def _summary(session, run, calls, wall_seconds, left) -> Summary:
    ordered = sorted(calls) or [0.0]
    return Summary(
        batches=len(calls),
        epochs=len(calls) // run.epoch_batches,
        left=left,
        stats=asdict(session.stats),
        wall_seconds=wall_seconds,
        call_median_seconds=ordered[len(ordered) // 2],
        call_p99_seconds=ordered[len(ordered) * 99 // 100],
        call_longest_seconds=ordered[-1],
    )


if __name__ == "__main__":
    main()
