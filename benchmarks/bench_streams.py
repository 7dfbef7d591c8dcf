"""What a message costs the bridge, beside a gRPC server that only reads."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import load
from bare import Answer, Loop, bare
from bridges import Bridge, bridge
from figures import MICROSECONDS, MILLISECONDS, percentile
from load import Load, Outcome
from processes import Server
from row import Row

LIMIT_OF_FLOOR = 1.5
FRAMED_LIMIT_MICROSECONDS = 20
UPDATES_PER_CORE = 100_000
ACK_LIMIT_MILLISECONDS = 50

SLOW_FLUSH_SECONDS = 0.2
"""For comparison: what a message costs when twelve share a frame."""

FRAME = 500
"""Messages in a full frame; the SDK closes them at 512."""


@dataclass(frozen=True, slots=True)
class Case:
    """One load, and what it is compared with."""

    name: str
    regime: str
    load: Load
    floor: Answer = "end"


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Measure every load."""
    for case in _cases(quick=quick):
        yield from _compared(case)
    yield from _framed(quick=quick)
    yield _updates_per_core(quick=quick)


def _cases(*, quick: bool) -> tuple[Case, ...]:
    blast = Load(streams=4, messages=500 if quick else 10_000)
    paced = Load(streams=50, messages=30 if quick else 480, per_second=60)
    single, original = "StreamMetrics, one message at a time", "StreamMetrics, original client"
    return (
        Case(single, "full speed, 4 streams", blast),
        Case(single, "50 streams x 60/s", paced),
        Case(original, "full speed, 4 streams", replace(blast, answers="each"), "each"),
        Case(original, "50 streams x 60/s", replace(paced, answers="each"), "each"),
    )


def _compared(case: Case) -> Iterator[Row]:
    bare_load = _for_bare(case.load, case.floor)
    floor = _bare_cost(bare_load, case.floor, "uvloop")
    other = _bare_cost(bare_load, case.floor, "std")
    with bridge() as served:
        cost, outcome = _bridge_cost(served, case.load)
    yield Row(
        name=case.name,
        regime=case.regime,
        figure=cost,
        unit="us CPU/message",
        target=f"<= {LIMIT_OF_FLOOR} x floor",
        met=cost <= LIMIT_OF_FLOOR * floor,
        floor=("bare servicer, uvloop", floor),
        peers={"bare servicer, std loop": other},
    )
    if case.load.per_second:
        yield _ack_row(case.name, case.regime, outcome)


def _framed(*, quick: bool) -> Iterator[Row]:
    """Send what our SDK makes of 60 calls a second, at the pace the bridge asks for and at a slow one."""
    with bridge() as served:
        asked = load.flush_seconds(served.server)
    for seconds in sorted({asked, SLOW_FLUSH_SECONDS}):
        framed = Load(
            streams=50,
            messages=30 if quick else 480,
            per_second=60,
            frame=FRAME,
            flush_seconds=seconds,
        )
        floor = _bare_cost(_for_bare(framed, "end"), "end", "uvloop")
        with bridge() as served:
            cost, outcome = _bridge_cost(served, framed)
        name = "StreamMetricsBatches, frames as the SDK makes them"
        regime = f"50 streams x 60/s, every {seconds * 1000:g} ms{' as asked' * (seconds == asked)}"
        yield Row(
            name=name,
            regime=regime,
            figure=cost,
            unit="us CPU/message",
            target=f"<= {FRAMED_LIMIT_MICROSECONDS} us",
            met=cost <= FRAMED_LIMIT_MICROSECONDS,
            floor=("bare servicer, uvloop", floor),
        )
        yield _ack_row(name, regime, outcome, ACK_LIMIT_MILLISECONDS + seconds * 1000)


def _updates_per_core(*, quick: bool) -> Row:
    """Send full frames as fast as they are taken."""
    full = Load(streams=4, messages=10_000 if quick else 200_000, frame=FRAME, window=20 * FRAME)
    with bridge() as served:
        cost, _ = _bridge_cost(served, full)
    floor = _bare_cost(_for_bare(full, "end"), "end", "uvloop")
    return Row(
        name="StreamMetricsBatches, durable",
        regime=f"full speed, 4 streams, {FRAME} a frame",
        figure=MICROSECONDS / cost,
        unit="updates/s per core",
        target=f">= {UPDATES_PER_CORE:,}/s",
        met=cost * UPDATES_PER_CORE <= MICROSECONDS,
        floor=("bare servicer, uvloop", MICROSECONDS / floor),
    )


def _for_bare(load: Load, answer: Answer) -> Load:
    """Return the same load for a server that knows no sessions."""
    return replace(load, registered=False, answers="each" if answer == "each" else "end")


def _bare_cost(load_: Load, answer: Answer, loop: Loop) -> float:
    with bare(answer=answer, loop=loop) as server:
        return _cost(server, load_)[0]


def _bridge_cost(served: Bridge, load_: Load) -> tuple[float, Outcome]:
    found = _cost(served.server, load_)
    served.expect("training_batches_total", load_.total)
    return found


def _cost(server: Server, load_: Load) -> tuple[float, Outcome]:
    """Return the server's CPU time for a message, in microseconds."""
    outcome = load.run(server, load_)
    return outcome.cpu_seconds / load_.total * MICROSECONDS, outcome


def _ack_row(
    name: str, regime: str, outcome: Outcome, limit: float = ACK_LIMIT_MILLISECONDS
) -> Row:
    p99 = percentile(outcome.ack_seconds, 0.99) * MILLISECONDS
    return Row(
        name=f"{name}: Ack p99",
        regime=regime,
        figure=p99,
        unit="ms",
        target=f"<= {limit:g} ms",
        met=p99 <= limit,
    )
