"""How long a bridge takes until it is ready: empty, and with a journal to replay."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bridges import bridge
from figures import median
from journals import write_journal
from processes import BenchmarkError
from row import Row

LIMIT_SECONDS = 1.0
REPLAY_LIMIT_SECONDS = 5.0

LIBRARIES = (
    "import aiohttp.web, grpc.aio, grpc_health.v1, grpc_reflection.v1alpha, jinja2, msgpack, prometheus_client,"
    " pydantic_settings, sqlalchemy.dialects.sqlite, uvloop, yaml"
)
"""What a bridge cannot do without, whatever it does with it."""


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Start bridges one after the other, each with an empty state folder."""
    count = 2 if quick else 7
    _started()  # so that Python has compiled everything once, as it has where a bridge is installed
    found = median([_started() for _ in range(count)])
    floor = median([_imported() for _ in range(count)])
    yield Row(
        name="start, empty",
        regime=f"median of {count}, until /readyz",
        figure=found,
        unit="s",
        target=f"<= {LIMIT_SECONDS:g} s",
        met=found <= LIMIT_SECONDS,
        floor=("importing the libraries", floor),
    )

    yield _after_a_kill(quick=quick)


def _after_a_kill(*, quick: bool) -> Row:
    """Start on what a bridge leaves that is killed with 100,000 updates in its journal."""
    count, sessions = (10_000 if quick else 100_000), 50
    found = _started(lambda state: write_journal(state, count, sessions), expected=count)
    return Row(
        name="start, journal to replay",
        regime=f"{count:,} updates of {sessions} sessions",
        figure=found,
        unit="s",
        target=f"<= {REPLAY_LIMIT_SECONDS:g} s",
        met=found <= REPLAY_LIMIT_SECONDS,
    )


def _started(prepare: Callable[[Path], None] | None = None, *, expected: int = 0) -> float:
    with bridge(prepare=prepare) as served:
        started = time.perf_counter() - served.server.start_seconds
        while (answer := served.get("/readyz"))[0] != 200:
            if time.perf_counter() - started > 30:
                raise BenchmarkError(f"not ready after 30 s: {answer}")
            time.sleep(0.01)
        seconds = time.perf_counter() - started
        served.expect("training_batches_total", expected)
        return seconds


def _imported() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True)
    return time.perf_counter() - started
