"""Trainings that a board must distinguish, each by the SDK; run as a script it is one rank of a run."""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen

from support.bridges import RunningBridge
from support.jpegs import jpeg
from support.known_run import KnownRun
from support.programs import LAUNCHERS
from support.proxy import proxying
from support.raw_client import RawClient
from support.tools import ROOT
from support.waiting import until_true

from bridge.client import CommandType, TrainingSession
from bridge.wire import metrics_pb2 as wire

STEP_SECONDS = 0.05
EPOCH_BATCHES = 20
EPOCHS = 12
BATCHES = 220
SAMPLES = 8
TOKENS = 100
CLASSES = ("cat", "dog", "crane")
PERPLEXITIES = {"train": 3.5, "validation": 4.5}

SPIKE, SPIKE_LOSS = 90, 9.0
NAN = 130
MISTAKE = (2, 0)
"""True and predicted class of every image of the spike, and of no other."""


def place(number: int) -> dict[str, int]:
    """Return where a batch is, as the arguments of log_batch."""
    return {
        "epoch": number // EPOCH_BATCHES,
        "batch": number % EPOCH_BATCHES,
        "step": number,
        "tokens": TOKENS,
    }


def loss_of(number: int) -> float:
    """Return the loss of a batch: falling, but for the spike and one that is not a number."""
    return {SPIKE: SPIKE_LOSS, NAN: float("nan")}.get(number, 0.5 + 1 / (1 + number))


def pictures(number: int) -> list[bytes]:
    """Return the images of a batch, JPEG files that no other batch has."""
    return [jpeg(48, 48, (number * SAMPLES + index) % 256) for index in range(SAMPLES)]


def classes(number: int) -> tuple[list[int], list[int]]:
    """Return true and predicted classes of a batch: one dog of each is taken for a crane."""
    if number == SPIKE:
        return [MISTAKE[0]] * SAMPLES, [MISTAKE[1]] * SAMPLES
    true = [index % len(CLASSES) for index in range(SAMPLES)]
    return true, [2 if index == 1 else one for index, one in enumerate(true)]


@dataclass
class Runs:
    """What has been trained, by name, and when what happened."""

    sessions: dict[str, TrainingSession] = field(default_factory=dict)
    spiked_ms: tuple[int, int] = (0, 0)
    """Before and after the batch of the spike."""
    hung_at: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)
    """The run with everything has trained its last batch."""


def spike(bridge: RunningBridge, runs: Runs) -> None:
    """Train with everything that can be reported, and with a spike of which all images are kept."""
    try:
        train_spike(bridge, runs)
    finally:
        runs.over.set()


def train_spike(bridge: RunningBridge, runs: Runs) -> None:
    """Train it."""
    session = runs.sessions["spike"] = TrainingSession(
        bridge.grpc,
        session_id="spike",
        model="resnet18",
        dataset="animals",
        epochs=EPOCHS,
        batches_per_epoch=EPOCH_BATCHES,
        batch_size=SAMPLES,
        class_names=CLASSES,
        config={"optimizer": {"name": "sgd", "momentum": 0.9}},
    )
    session.on(CommandType.CHANGE_LEARNING_RATE, lambda _: "done")
    session.flush(30)
    for number in range(BATCHES):
        step(session, number, runs)
        if number == EPOCH_BATCHES:
            bridge.client.submit_command(
                "spike", CommandType.CHANGE_LEARNING_RATE, {"learning_rate": 0.05}
            )
            bridge.client.submit_command("spike", CommandType.ADJUST_BATCH_SIZE, {"batch_size": 4})


def step(session: TrainingSession, number: int, runs: Runs) -> None:
    """Report one batch, and what comes with it."""
    with session.phase("data"):
        time.sleep(STEP_SECONDS / 5)
    time.sleep(STEP_SECONDS)
    before = int(time.time() * 1000)
    true, predicted = classes(number)
    session.log_batch(
        loss_of(number),
        **place(number),
        images=pictures(number),
        predictions=(predicted, [0.9] * SAMPLES),
        ground_truth=true,
    )
    if number == SPIKE:
        session.flush(30)
        runs.spiked_ms = (before, int(time.time() * 1000))
        session.alert("loss is high", "9 instead of 0.5")
    if number % 10 == 0:
        for split, value in PERPLEXITIES.items():
            session.log_scalars({"perplexity": value}, split=split)
        session.log_scalars({"gradient_norm": 1.5, "mfu": 0.4, "learning_rate": 0.1})
    if number % EPOCH_BATCHES == EPOCH_BATCHES - 1:
        end_epoch(session, number // EPOCH_BATCHES)


def end_epoch(session: TrainingSession, epoch: int) -> None:
    """Validate, and report the averages of an epoch."""
    with session.phase("validation"):
        time.sleep(2 * STEP_SECONDS)
    session.log_epoch(
        epoch,
        loss=0.5 + 1 / (1 + epoch),
        accuracy=0.75,
        validation_loss=0.75 + 1 / (1 + epoch),
        validation_accuracy=0.625,
        learning_rate=0.1,
    )


def plainly(session: TrainingSession, batches: int, first: int = 0) -> None:
    """Train some batches without anything beside their losses."""
    for number in range(first, first + batches):
        time.sleep(STEP_SECONDS)
        session.log_batch(0.5, epoch=number // EPOCH_BATCHES, batch=number % EPOCH_BATCHES)


def as_long_as_the_spike(session: TrainingSession, runs: Runs, first: int) -> None:
    """Train until the run with everything is over."""
    while not runs.over.is_set():
        plainly(session, 1, first)
        first += 1


def again(bridge: RunningBridge, runs: Runs) -> None:
    """Train, fail, and begin again."""
    with suppress(MemoryError), TrainingSession(bridge.grpc, session_id="again") as session:
        plainly(session, 40)
        raise_error()
    time.sleep(2)
    runs.sessions["again"] = TrainingSession(
        bridge.grpc, session_id="again", model="mlp", epochs=9, resume_from=(1, 0)
    )
    as_long_as_the_spike(runs.sessions["again"], runs, EPOCH_BATCHES)


def failed(bridge: RunningBridge, _: Runs) -> None:
    """Train, and fail."""
    with suppress(MemoryError), TrainingSession(bridge.grpc, session_id="failed") as session:
        plainly(session, 20)
        raise_error()


def raise_error() -> None:
    """Fail as a training does."""
    raise MemoryError


def hung(bridge: RunningBridge, runs: Runs) -> None:
    """Train, and make no step any more."""
    runs.sessions["hung"] = TrainingSession(bridge.grpc, session_id="hung", model="mlp")
    plainly(runs.sessions["hung"], 30)
    runs.hung_at = time.time()


def moved(first: RunningBridge, second: RunningBridge, runs: Runs, stack: ExitStack) -> None:
    """Train on one bridge, and then on the other one."""
    proxy = stack.enter_context(proxying(first.grpc))
    session = runs.sessions["moved"] = TrainingSession(
        proxy.address, session_id="moved", model="mlp"
    )
    plainly(session, 40)
    session.flush(30)
    proxy.lead_to(second.grpc)
    as_long_as_the_spike(session, runs, 40)


GPU = wire.GpuUsage(
    index=0,
    uuid="GPU-a",
    utilization_percent=80,
    memory_used_mb=8192,
    memory_total_mb=16384,
    temperature_celsius=60,
    power_watts=250,
    throttle_reasons=["thermal"],
    throttle_reported=True,
    ecc_errors=1,
    xid_errors=2,
    sm_clock_mhz=1500,
)


def on_a_gpu(bridge: RunningBridge, stopping: threading.Event) -> None:
    """Train as a client with a GPU does, which this machine need not have; until it is to stop."""
    run = KnownRun("gpu", images_every=0)
    with RawClient(bridge.grpc, run) as client:
        client.start()
        number = 0
        while not stopping.wait(4 * STEP_SECONDS):
            number += 1
            usage = wire.ResourceUsage(cpu_percent=150, memory_mb=2048, gpus=[GPU])
            client.stream(
                run.batch(number),
                wire.MetricsRequest(
                    session_id="gpu",
                    performance_data=wire.PerformanceData(
                        time_per_batch_ms=200,
                        total_time_for_epoch_sec=20,
                        estimated_time_remaining_sec=600,
                        current_fps=10,
                        average_fps=11,
                        resource_usage=usage,
                    ),
                ),
            )


@contextmanager
def ranks(address: str, count: int = 2):
    """Train with so many ranks, each a process, until the end of the block."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    inherited["PYTHONPATH"] = f"{ROOT / 'tests'}{os.pathsep}{ROOT}"
    processes = [
        Popen(
            [sys.executable, str(Path(__file__)), address],
            stdin=PIPE,
            env=inherited | {"RANK": str(rank), "WORLD_SIZE": str(count)},
        )
        for rank in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.stdin.close()
        for process in processes:
            process.wait(60)


def rank(address: str) -> None:
    """Train as one rank, until standard input is closed."""
    stopping = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    with TrainingSession(address, session_id="pair", model="mlp", ranks="light") as session:
        number = 0
        while not stopping.is_set():
            with session.phase("data"):
                stopping.wait(STEP_SECONDS / 2)
            stopping.wait(STEP_SECONDS)
            session.log_batch(0.5, step=number)
            number += 1


def together(*calls: Callable[[], None]) -> None:
    """Do several things at a time, and wait for all of them; raises what one of them raised."""
    errors: list[BaseException] = []

    def do(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 -- raised again by the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=do, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@contextmanager
def trained(first: RunningBridge, second: RunningBridge):
    """Train everything; what has not ended stays connected until the end of the block."""
    runs, stopping = Runs(), threading.Event()
    with ExitStack() as stack:
        stack.enter_context(ranks(second.grpc))
        device = threading.Thread(target=on_a_gpu, args=(second, stopping))
        device.start()
        stack.callback(device.join)
        stack.callback(stopping.set)
        together(
            lambda: spike(first, runs),
            lambda: again(second, runs),
            lambda: failed(first, runs),
            lambda: hung(first, runs),
            lambda: moved(first, second, runs, stack),
        )
        until_true(
            lambda: second.total("training_batches_total", session_id="pair-rank1"),
            what="the second rank reports",
        )
        for session in runs.sessions.values():
            stack.callback(session.close)
            assert session.flush(30) == 0
        yield runs


if __name__ == "__main__":
    rank(sys.argv[1])
