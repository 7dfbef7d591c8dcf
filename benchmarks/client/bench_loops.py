"""What reporting a step costs a loop: trainbridge with its bridge up, down and frozen, and others beside it."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridges import bridge, total
from loops_apart import PACE, PEERS_PYTHON, Found, has, loop_apart
from payloads import LARGE, LOSS, NAMES, SMALL
from processes import BenchmarkError
from row import Row

FLOOR = "SimpleQueue.put"
OURS = ("our SummaryWriter", "our wandb")

PEERS = {
    "tensorboardX": "tensorboardX",
    "wandb offline": "wandb",
    "trackio": "trackio",
    "mlflow": "mlflow",
}
"""Others by the library that they need, in an environment of their own."""

WITH_IMAGES = (SMALL, LARGE)
"""What others take as well: none takes ready JPEGs."""


@dataclass(frozen=True, slots=True)
class Regime:
    """How fast a loop steps, and how many steps of it are timed."""

    name: str
    per_second: float
    steps: int
    steps_with_images: int

    def steps_of(self, payload: str, *, is_peer: bool = False) -> int:
        """Return how many; of others with images few, which some need seconds for."""
        if payload == LOSS:
            return self.steps // 4 if is_peer else self.steps
        return self.steps_with_images // 8 if is_peer else self.steps_with_images


def paces(*, quick: bool) -> Sequence[Regime]:
    """Return full speed, where drops would count, and the pace of a real loop."""
    if quick:
        return Regime("full speed", 0.0, 2_000, 200), Regime("60/s", PACE, 60, 60)
    return Regime("full speed", 0.0, 20_000, 2_000), Regime("60/s", PACE, 600, 600)


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Time every subject with every payload, each in a process of its own."""
    for pace in paces(quick=quick):
        plain = loop_apart("nothing", LOSS, pace.steps, pace.per_second)
        yield from _rows(
            FLOOR, LOSS, pace, loop_apart(FLOOR, LOSS, pace.steps, pace.per_second), plain
        )
        for payload in NAMES:
            yield from _of_trainbridge(payload, pace, plain)
        yield from _of_drop_ins(pace, plain)
        yield from _of_peers(pace, plain)


def _of_trainbridge(payload: str, pace: Regime, plain: Found) -> Iterator[Row]:
    steps = pace.steps_of(payload)
    with bridge() as served:
        address = served.server.grpc_address
        found = loop_apart(
            "trainbridge", payload, steps, pace.per_second, address=address, session="up"
        )
        served.expect('training_batches_total{session_id="up"}', steps)
        yield from _rows("trainbridge, bridge up", payload, pace, found, plain)
        found = loop_apart(
            "trainbridge",
            payload,
            steps,
            pace.per_second,
            address=address,
            session="frozen",
            state="frozen",
            when_ready=served.server.freeze,
        )
        served.server.kill()
        yield from _rows("trainbridge, bridge frozen", payload, pace, found, plain)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{taken.getsockname()[1]}"
        found = loop_apart(
            "trainbridge",
            payload,
            steps,
            pace.per_second,
            address=nowhere,
            session="down",
            state="down",
        )
    yield from _rows("trainbridge, bridge down", payload, pace, found, plain)


def _of_drop_ins(pace: Regime, plain: Found) -> Iterator[Row]:
    with bridge() as served:
        for subject in OURS:
            for payload in (LOSS, *WITH_IMAGES):
                steps = pace.steps_of(payload)
                session = f"{subject}-{payload}".replace(" ", "-")
                found = loop_apart(
                    subject,
                    payload,
                    steps,
                    pace.per_second,
                    address=served.server.grpc_address,
                    session=session,
                )
                series = f'training_batches_total{{session_id="{session}"}}'
                if total(served.page(), series) < steps:  # images are a batch of their own there
                    raise BenchmarkError(f"{subject}, {payload}: not all steps have arrived")
                yield from _rows(subject, payload, pace, found, plain)


def _of_peers(pace: Regime, plain: Found) -> Iterator[Row]:
    for subject, library in PEERS.items():
        if not has(PEERS_PYTHON, library):
            yield _missing(subject, library, PEERS_PYTHON)
            continue
        for payload in (LOSS, *WITH_IMAGES):
            steps = max(20, pace.steps_of(payload, is_peer=True))
            found = loop_apart(subject, payload, steps, pace.per_second, python=PEERS_PYTHON)
            yield from _rows(subject, payload, pace, found, plain)


def _rows(subject: str, payload: str, pace: Regime, found: Found, plain: Found) -> Iterator[Row]:
    """Return the figures of one loop; CPU is above that of a loop that reports nothing."""
    for name, figure in (("p50", found.p50), ("p99", found.p99), ("max", found.max)):
        yield Row(name=f"{subject}; {payload}; {name}", regime=pace.name, figure=figure, unit="us")
    cpu = found.cpu - plain.cpu
    unit = "s / 10,000 steps"
    yield Row(name=f"{subject}; {payload}; CPU", regime=pace.name, figure=cpu, unit=unit)


def _missing(subject: str, library: str, python: Path) -> Row:
    reason = f"not measured: {python.parents[1].name} has no {library}"
    return Row(name=f"{subject}; {LOSS}; p50", regime=reason, figure=None, unit="us")
