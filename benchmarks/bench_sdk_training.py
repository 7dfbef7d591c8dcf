"""How much slower training gets that reports every step with images: with a bridge, and without one that works."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from bridges import bridge
from figures import MILLISECONDS, median
from loops import Call, compute_once
from messages import CLASSES, IMAGES_PER_BATCH
from processes import BenchmarkError
from row import Row

from bridge.client import TrainingSession

LIMIT_PERCENT = 1.0
STEP_SECONDS = 1 / 60
BLOCK_STEPS = 6
"""Steps that are timed together, so that work every few steps shows in every block."""

SIDE = 32
DELIVERY_SECONDS = 60.0
GIVE_UP_SECONDS = 0.1
CONNECT_SECONDS = 10.0

Opened = Callable[[], "Iterator[Call]"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What the bridge is doing while training goes on."""

    name: str
    opened: Opened


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Train without and with telemetry in turns, many times, since machines get faster and slower."""
    computations = _computations_of_a_step()
    rounds, blocks = (1, 4) if quick else (5, 6)
    ratios: dict[str, list[float]] = {condition.name: [] for condition in CONDITIONS}
    plain_seconds: list[float] = []
    for _ in range(rounds):
        for condition in CONDITIONS:
            plain = _step_seconds(_nothing, computations, blocks)
            found = _step_seconds(condition.opened, computations, blocks)
            ratios[condition.name].append(found / plain)
            plain_seconds.append(plain)
    percents = {name: (median(found) - 1) * 100 for name, found in ratios.items()}
    noise = percents.pop(NOTHING)
    for name, percent in percents.items():
        yield Row(
            name=f"training slowed, bridge {name}",
            regime=f"steps of {median(plain_seconds) * MILLISECONDS:.1f} ms, "
            f"{IMAGES_PER_BATCH} arrays each",
            figure=percent,
            unit="% of a step",
            target=f"<= {LIMIT_PERCENT:g} %",
            met=percent <= LIMIT_PERCENT,
            peers={"no telemetry, once more": noise},
        )


def _computations_of_a_step() -> int:
    """Return how much arithmetic takes about as long as a step; the same amount is done in all of them."""
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < 20 * STEP_SECONDS:
        compute_once()
        count += 1
    return max(1, count // 20)


def _step_seconds(opened: Opened, computations: int, blocks: int) -> float:
    """Return how long a step takes, by the block in the middle; the first block is not counted."""
    with contextmanager(opened)() as call:
        return median([_block(call, computations, number) for number in range(blocks + 1)][1:])


def _block(call: Call, computations: int, number: int) -> float:
    started = time.perf_counter()
    for step in range(BLOCK_STEPS):
        for _ in range(computations):
            compute_once()
        call(number * BLOCK_STEPS + step)
    return (time.perf_counter() - started) / BLOCK_STEPS


def _nothing() -> Iterator[Call]:
    yield lambda _: None


def _working() -> Iterator[Call]:
    with bridge() as served:
        session = _connected(served.server.grpc_address)
        yield _logging(session)
        left = session.close(DELIVERY_SECONDS)
        if left or session.stats.dropped:
            raise BenchmarkError(f"{left} messages were not delivered: {session.stats}")
        series = f'training_batches_total{{session_id="{session.session_id}"}}'
        served.expect(series, session.stats.batches)


def _absent() -> Iterator[Call]:
    """Report to a port that nobody listens on, and whose number nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        session = _session(f"127.0.0.1:{taken.getsockname()[1]}")
        yield _logging(session)
        _give_up(session)


def _frozen() -> Iterator[Call]:
    with bridge() as served:
        session = _connected(served.server.grpc_address)
        served.server.freeze()
        yield _logging(session)
        _give_up(session)
        served.server.kill()


def _dead() -> Iterator[Call]:
    with bridge() as served:
        session = _connected(served.server.grpc_address)
        served.server.kill()
        yield _logging(session)
        _give_up(session)


NOTHING = "without telemetry"
CONDITIONS = (
    Condition(NOTHING, _nothing),
    Condition("working", _working),
    Condition("absent", _absent),
    Condition("frozen", _frozen),
    Condition("dead", _dead),
)


def _session(address: str) -> TrainingSession:
    return TrainingSession(address, model="benchmark")


def _connected(address: str) -> TrainingSession:
    """Return a session whose first messages have been acknowledged."""
    session = _session(address)
    if session.flush(CONNECT_SECONDS):
        raise BenchmarkError("the SDK did not get through to the bridge")
    return session


def _logging(session: TrainingSession) -> Call:
    noise = np.random.default_rng(1)
    pixels = noise.integers(0, 256, (IMAGES_PER_BATCH, SIDE, SIDE, 3), dtype=np.uint8)
    logits = noise.normal(size=(IMAGES_PER_BATCH, CLASSES)).astype(np.float32)
    truth = np.arange(IMAGES_PER_BATCH) % CLASSES

    def log(step: int) -> None:
        session.log_batch(
            1 / (step + 1),
            epoch=0,
            batch=step,
            images=pixels,
            predictions=logits,
            ground_truth=truth,
        )

    return log


def _give_up(session: TrainingSession) -> None:
    """Close the session, and check that it had kept what it could not deliver."""
    left = session.close(GIVE_UP_SECONDS)
    if not left or session.stats.dropped:
        raise BenchmarkError(f"nobody was there, yet {left} are left: {session.stats}")
