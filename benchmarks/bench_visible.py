"""How long it takes until what was sent can be seen."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from bridges import Bridge, bridge
from figures import MILLISECONDS, percentile
from load import connected, opened, register
from messages import Batches, jpegs
from processes import BenchmarkError
from row import Row

SESSION = "visible"
PAUSE_SECONDS = 0.01
"""Between one batch and the next, so that they do not share a commit."""

LIMIT_SECONDS = 10.0
SERIES_LIMIT_MILLISECONDS = 50
IMAGE_LIMIT_MILLISECONDS = 1_000

Seen = Callable[[http.client.HTTPConnection, int], bool]
"""Asks once whether a batch can be seen."""


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Send batches one by one and look until each is there."""
    count = 20 if quick else 200
    with bridge("--images-keep", "all") as served:
        series = uvloop.run(_waited(served, f"{SESSION}-series", count, (), _on_page))
        images = uvloop.run(_waited(served, f"{SESSION}-images", count, jpegs(), _over_http))
        served.expect("training_batches_total", 2 * count)
    yield _row("sent -> visible in /metrics, p99", series, SERIES_LIMIT_MILLISECONDS)
    yield _row("sent -> image over HTTP, p99", images, IMAGE_LIMIT_MILLISECONDS)


def _row(name: str, waited: list[float], limit: float) -> Row:
    p99 = percentile(waited, 0.99) * MILLISECONDS
    return Row(
        name=name,
        regime="one session, one after the other",
        figure=p99,
        unit="ms",
        target=f"<= {limit} ms",
        met=p99 <= limit,
    )


async def _waited(
    served: Bridge, session_id: str, count: int, images: tuple[bytes, ...], seen: Seen
) -> list[float]:
    """Return for each batch how long it took, in seconds."""
    batches = Batches(session_id, images=images)
    page = http.client.HTTPConnection("127.0.0.1", served.server.ports["http"], timeout=30)
    waited = []
    async with _stream(served, session_id) as call:
        for index in range(count):
            started = time.perf_counter()
            await call.write(batches.next())
            await asyncio.to_thread(_until_seen, page, index, seen)
            waited.append(time.perf_counter() - started)
            await asyncio.sleep(PAUSE_SECONDS)
    page.close()
    return waited


@asynccontextmanager
async def _stream(served: Bridge, session_id: str) -> AsyncIterator[Any]:
    async with connected(served.server.grpc_address) as channel:
        await register(channel, session_id)
        call = opened(channel)
        await call.wait_for_connection()
        yield call
        await call.done_writing()


def _until_seen(page: http.client.HTTPConnection, index: int, seen: Seen) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not seen(page, index):
        if time.monotonic() > deadline:
            raise BenchmarkError(f"batch {index} cannot be seen after {LIMIT_SECONDS:g} s")


def _on_page(page: http.client.HTTPConnection, index: int) -> bool:
    """Look for the number of batches on /metrics."""
    _, body = _got(page, "/metrics")
    return f'training_batches_total{{session_id="{SESSION}-series"}} {index + 1}\n' in body.decode()


def _over_http(page: http.client.HTTPConnection, index: int) -> bool:
    """Ask for an image of the batch, and look whether it is the one that was sent."""
    status, body = _got(page, f"/sessions/{SESSION}-images/batches/0-{index}/15.jpg")
    if status == 200 and body != jpegs()[15]:
        raise BenchmarkError("the image that came back is not the one that was sent")
    return status == 200


def _got(page: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    page.request("GET", path)
    response = page.getresponse()
    return response.status, response.read()
