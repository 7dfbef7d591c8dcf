"""Batches with sixteen JPEGs each, all of them kept, beside a server that only appends the bytes to a file."""

from collections.abc import Iterator
from dataclasses import replace

import load
from bare import bare
from bridges import Bridge, bridge
from figures import MEBIBYTE, MILLISECONDS, percentile
from load import Load, Outcome
from messages import IMAGES_PER_BATCH, jpegs
from row import Row

CORE_LIMIT_PERCENT = 25
RSS_LIMIT_MEBIBYTES = 200
ACK_LIMIT_MILLISECONDS = 50
BYTES_PER_CORE = 150

FLOOR = "gRPC, write, fsync"
"""What the floor does with the same bytes."""

IN_FLIGHT = 16
"""Batches on their way unacknowledged: 8 MB, an eighth of what a bridge allows a client."""


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Measure one run at full rate, then eight without a brake."""
    yield from _full_rate(quick=quick)
    yield _at_the_limit(quick=quick)


def _full_rate(*, quick: bool) -> Iterator[Row]:
    sent = Load(streams=1, messages=60 if quick else 900, per_second=60, images=jpegs(), window=60)
    floor = _floor(sent)
    outcome = _bridge(sent)
    name = "full-rate run, all images kept"
    regime = (
        f"60/s x {IMAGES_PER_BATCH} JPEGs, {outcome.bytes / outcome.wall_seconds / 1e6:.0f} MB/s"
    )
    percent = _core_percent(outcome)
    rss = outcome.rss_bytes / MEBIBYTE
    p99, floor_p99 = (_ack_p99(found) for found in (outcome, floor))
    yield Row(
        name=name,
        regime=regime,
        figure=percent,
        unit="% of a core",
        target=f"<= {CORE_LIMIT_PERCENT} %",
        met=percent <= CORE_LIMIT_PERCENT,
        floor=(FLOOR, _core_percent(floor)),
    )
    yield Row(
        name=f"{name}: RSS at most",
        regime=regime,
        figure=rss,
        unit="MiB",
        target=f"<= {RSS_LIMIT_MEBIBYTES} MiB",
        met=rss <= RSS_LIMIT_MEBIBYTES,
        floor=(FLOOR, floor.rss_bytes / MEBIBYTE),
    )
    yield Row(
        name=f"{name}: Ack p99",
        regime=regime,
        figure=p99,
        unit="ms",
        target=f"<= {ACK_LIMIT_MILLISECONDS} ms",
        met=p99 <= ACK_LIMIT_MILLISECONDS,
        floor=(FLOOR, floor_p99),
    )


def _at_the_limit(*, quick: bool) -> Row:
    sent = Load(streams=8, messages=6 if quick else 100, images=jpegs(), window=IN_FLIGHT)
    floor = _per_core(_floor(sent))
    found = _per_core(_bridge(sent))
    return Row(
        name="images at the limit, all kept",
        regime="full speed, 8 streams",
        figure=found,
        unit="MB/s per core",
        target=f">= {BYTES_PER_CORE} MB/s per core",
        met=found >= BYTES_PER_CORE,
        floor=(FLOOR, floor),
    )


def _floor(sent: Load) -> Outcome:
    with bare(answer="kept") as server:
        return load.run(server, replace(sent, registered=False))


def _bridge(sent: Load) -> Outcome:
    with bridge("--images-keep", "all") as served:
        outcome = load.run(served.server, sent)
        _check(served, sent)
        return outcome


def _check(served: Bridge, sent: Load) -> None:
    """Count every batch and every image: none may be missing."""
    served.expect("training_batches_total", sent.total)
    served.expect('training_images_total{result="stored"}', sent.total * len(sent.images))


def _core_percent(outcome: Outcome) -> float:
    return outcome.cpu_seconds / outcome.wall_seconds * 100


def _per_core(outcome: Outcome) -> float:
    """Return megabytes for each second of CPU time."""
    return outcome.bytes / 1e6 / outcome.cpu_seconds


def _ack_p99(outcome: Outcome) -> float:
    return percentile(outcome.ack_seconds, 0.99) * MILLISECONDS
