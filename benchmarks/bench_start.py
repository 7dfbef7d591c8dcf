"""How long an empty bridge takes until it is ready."""

import subprocess
import sys
import time
from collections.abc import Iterator

from bridges import bridge
from figures import median
from processes import BenchmarkError
from row import Row

LIMIT_SECONDS = 1.0

LIBRARIES = "import aiohttp, grpc.aio, grpc_health.v1, grpc_reflection.v1alpha, jinja2, minio, prometheus_client, pydantic_settings"
"""What a bridge cannot do without, whatever it does with it."""


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Start bridges one after the other, each with an empty state folder."""
    count = 2 if quick else 7
    found = median([_started() for _ in range(count)])
    floor = median([_imported() for _ in range(count)])
    yield Row(
        name="start, empty", regime=f"median of {count}, until /readyz", figure=found, unit="s",
        target=f"<= {LIMIT_SECONDS:g} s", met=found <= LIMIT_SECONDS,
        floor=("importing the libraries", floor),
    )  # fmt: skip


def _started() -> float:
    started = time.perf_counter()
    with bridge() as served:
        while (answer := served.get("/readyz"))[0] != 200:
            if time.perf_counter() - started > 30:
                raise BenchmarkError(f"not ready after 30 s: {answer}")
            time.sleep(0.01)
        return time.perf_counter() - started


def _imported() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True)
    return time.perf_counter() - started
