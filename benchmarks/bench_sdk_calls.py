"""What a call of log_batch costs the training loop, and the SDK the training process."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import numpy as np
from bridges import Bridge, bridge
from copying import copying_rows
from figures import MICROSECONDS, percentile
from loops import FULL_SPEED, GAITS, SLEEPING, Call, Gait, durations
from messages import CLASSES, IMAGES_PER_BATCH, jpegs
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from processes import BenchmarkError
from prometheus_client import CollectorRegistry, Gauge
from row import Row

from bridge.client import TrainingSession
from bridge.client.stats import Stats

SIDE = 32
LARGE_SIDE = 224
LARGE_BATCH = 64
LOSSES = 4_096
"""Different ones, so that the sampler has something to choose by."""

FLOOR = "SimpleQueue.put"

STEPS_OF_CPU = 10_000
DELIVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the calls with one kind of payload may cost."""

    full_speed_microseconds: float
    """Median."""
    full_speed_p99_microseconds: float | None
    paced_floors: float
    """Median, when paced, as a multiple of the floor's."""
    cpu_seconds: float | None
    """Of the whole process for 10,000 steps; None: no limit, most of it is encoding."""

    def of(self, gait: Gait, share: float, floor: float) -> tuple[float | None, str]:
        """Return the limit of a percentile in microseconds, and how to say it."""
        if gait is FULL_SPEED:
            limit = (
                self.full_speed_microseconds if share == 0.5 else self.full_speed_p99_microseconds
            )
            return limit, f"<= {limit:g} us" if limit else ""
        if share == 0.5:
            return self.paced_floors * floor, f"<= {self.paced_floors:g} x floor"
        return None, ""


LOSS_LIMITS = Limits(
    full_speed_microseconds=2, full_speed_p99_microseconds=20, paced_floors=1.5, cpu_seconds=0.7
)
ARRAY_LIMITS = Limits(
    full_speed_microseconds=15, full_speed_p99_microseconds=None, paced_floors=2, cpu_seconds=3.5
)
JPEG_LIMITS = Limits(
    full_speed_microseconds=10, full_speed_p99_microseconds=None, paced_floors=2, cpu_seconds=3.5
)
LARGE_LIMITS = Limits(
    full_speed_microseconds=20, full_speed_p99_microseconds=None, paced_floors=2, cpu_seconds=None
)


@dataclass(frozen=True, slots=True)
class Payload:
    """What is given to log_batch."""

    name: str
    arguments: Mapping[str, Any]
    steps: int
    """Calls at full speed: as many as the SDK takes in without dropping any."""
    limits: Limits

    @property
    def images(self) -> int:
        """Return how many images each call gives."""
        return len(self.arguments.get("images", ()))


Open = Callable[[], AbstractContextManager[Call]]
"""Gives a call to be timed, for the time of the block."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a loop with one kind of call took."""

    seconds: Sequence[float] = field(repr=False)
    """Each call."""
    cpu_seconds: float
    """The whole process, for each step."""

    def at(self, share: float) -> float:
        """Return a percentile of the calls, in microseconds."""
        return percentile(self.seconds, share) * MICROSECONDS


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Time every payload in every gait, between the floor and the peers in the same gait."""
    paced_steps = 40 if quick else 480
    idle = _taken(nullcontext(lambda _: None), SLEEPING, paced_steps)
    with bridge() as served:
        for gait in GAITS:
            steps = paced_steps if gait.between else 2_000 if quick else 20_000
            floor = _taken(_queue(), gait, steps)
            peers = {name: _taken(peer(), gait, steps // 2) for name, peer in PEERS.items()}
            for payload in _payloads(quick=quick):
                count = steps if gait.between else payload.steps
                taken = _taken(_session(served, payload, count), gait, count)
                yield from _rows(payload, gait, taken, floor, peers)
                if gait is SLEEPING:
                    yield _cpu_row(payload, taken, idle)
    yield from copying_rows(quick=quick)


def _payloads(*, quick: bool) -> tuple[Payload, ...]:
    noise = np.random.default_rng(1)
    count, side = IMAGES_PER_BATCH, LARGE_SIDE
    small = noise.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    middle = noise.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    large = noise.random((LARGE_BATCH, 3, side, side), dtype=np.float32)
    many, few = (2_000, 200) if quick else (20_000, 4_000)
    return (
        Payload("loss only", {}, many, LOSS_LIMITS),
        Payload(f"{count} arrays {SIDE}x{SIDE}", _classified(small), few, ARRAY_LIMITS),
        Payload(f"{count} ready JPEGs", _classified(list(jpegs(SIDE))), few, JPEG_LIMITS),
        Payload(f"{count} arrays {side}x{side} (sampled)", _classified(middle), few, LARGE_LIMITS),
        Payload(
            f"{LARGE_BATCH} arrays 3x{side}x{side} float32 (sampled)",
            _classified(large),
            few,
            LARGE_LIMITS,
        ),
    )


def _classified(images: Any) -> Mapping[str, Any]:
    """Return images with scores and classes, as log_batch takes them."""
    noise = np.random.default_rng(2)
    return {
        "images": images,
        "predictions": noise.normal(size=(len(images), CLASSES)).astype(np.float32),
        "ground_truth": np.arange(len(images)) % CLASSES,
    }


def _taken(opened: AbstractContextManager[Call], gait: Gait, steps: int) -> Taken:
    with opened as call:
        cpu_before = time.process_time()
        seconds = durations(call, gait, steps)
        cpu_seconds = time.process_time() - cpu_before
    return Taken(seconds, cpu_seconds / steps)


def _rows(
    payload: Payload, gait: Gait, taken: Taken, floor: Taken, peers: Mapping[str, Taken]
) -> Iterator[Row]:
    """Compare the median and the 99th percentile, each with those of the others."""
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        figure = taken.at(share)
        limit, target = payload.limits.of(gait, share, floor.at(share))
        peer_figures = (
            {} if payload.arguments else {peer: found.at(share) for peer, found in peers.items()}
        )
        yield Row(
            name=f"log_batch, {payload.name}, {name}",
            regime=gait.name,
            figure=figure,
            unit="us",
            target=target,
            met=None if limit is None else figure <= limit,
            floor=(FLOOR, floor.at(share)),
            peers=peer_figures,
        )


def _cpu_row(payload: Payload, taken: Taken, idle: Taken) -> Row:
    """Compare with the same loop that says nothing."""
    figure = (taken.cpu_seconds - idle.cpu_seconds) * STEPS_OF_CPU
    limit = payload.limits.cpu_seconds
    return Row(
        name=f"SDK, {payload.name}: CPU of the whole process",
        regime=SLEEPING.name,
        figure=figure,
        unit=f"s / {STEPS_OF_CPU:,} steps",
        target=f"<= {limit} s" if limit else "",
        met=None if limit is None else figure <= limit,
    )


@contextmanager
def _session(served: Bridge, payload: Payload, steps: int) -> Iterator[Call]:
    """Give log_batch of a new session, and check that every batch has arrived and been committed."""
    session = TrainingSession(served.server.grpc_address, model="benchmark")
    log_batch, arguments = session.log_batch, payload.arguments
    session.flush(DELIVERY_SECONDS)
    losses = _losses(payload)
    yield lambda step: log_batch(losses[step % LOSSES], epoch=0, batch=step, **arguments)
    left = session.close(DELIVERY_SECONDS)
    stats = session.stats
    if left or stats.dropped or stats.refused or stats.batches_acknowledged != steps:
        raise BenchmarkError(f"{steps} batches were logged, {left} not delivered: {stats}")
    _check_images(stats, payload.images * steps)
    served.expect(f'training_batches_total{{session_id="{session.session_id}"}}', steps)


def _losses(payload: Payload) -> Sequence[float]:
    """Return losses that vary at random where there are images to choose among."""
    source = random.Random(3)
    return [source.random() if payload.images else 0.5 for _ in range(LOSSES)]


def _check_images(stats: Stats, given: int) -> None:
    """Check that what was given is what was sent and what was left out, and that something was sent."""
    left_out = stats.images_sampled_out + stats.images_shed
    if stats.images_given != given or given != stats.images_sent + left_out:
        raise BenchmarkError(f"{given} images were given, not all accounted for: {stats}")
    if given and not stats.images_sent:
        raise BenchmarkError("no image was sent")


@contextmanager
def _queue() -> Iterator[Call]:
    """Give the put of a queue with a thread that takes everything out: the least any SDK could do."""
    queue: SimpleQueue[int | None] = SimpleQueue()
    taken: list[int] = []

    def take() -> None:
        while (item := queue.get()) is not None:
            taken.append(item)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    puts = 0

    def put(step: int) -> None:
        nonlocal puts
        puts += 1
        queue.put(step)

    yield put
    queue.put(None)
    thread.join()
    if len(taken) != puts:
        raise BenchmarkError(f"{puts} were put, {len(taken)} taken")


@contextmanager
def _prometheus() -> Iterator[Call]:
    gauge = Gauge("loss", "Loss.", ["session_id"], registry=CollectorRegistry())
    yield lambda step: gauge.labels("run").set(step)
    if not gauge.labels("run")._value.get():
        raise BenchmarkError("the gauge was not set")


@contextmanager
def _opentelemetry() -> Iterator[Call]:
    reader = InMemoryMetricReader()
    gauge = (
        MeterProvider([reader], shutdown_on_exit=False).get_meter("benchmark").create_gauge("loss")
    )
    attributes = {"session_id": "run"}
    yield lambda step: gauge.set(step, attributes)
    if reader.get_metrics_data() is None:
        raise BenchmarkError("the gauge was not set")


PEERS: Mapping[str, Open] = {
    "prometheus_client gauge": _prometheus,
    "OpenTelemetry gauge": _opentelemetry,
}
"""Others that a loop could tell its loss to."""
