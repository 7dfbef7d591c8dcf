"""The /metrics page of a thousand sessions: what it costs, and whom it holds up."""

import asyncio
import gzip
import http.client
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import load
import uvloop
from bridges import Bridge, bridge, total
from figures import MILLISECONDS, median, percentile
from load import EOF, Load, connected, opened, register
from processes import BenchmarkError, Server
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from row import Row

from bridge.lifecycle import Connected, Registered
from bridge.model import Client, Config, Update
from bridge.receiver.decode import decode_request
from bridge.receiver.message_limits import MessageLimits
from bridge.session import Session
from bridge.sinks.metrics.exposition import Exposition
from bridge.sinks.metrics.state import TrainingMetrics
from bridge.telemetry import Telemetry
from bridge.wire import metrics_pb2 as wire

CPU_LIMIT_MILLISECONDS = 150
HOLD_LIMIT_MILLISECONDS = 5
ACK_LIMIT = 2

CLASSES = 6
SCALARS = 10
BATCHES = 3

SCRAPE_HEADERS = {"Accept-Encoding": "gzip", "Accept": "application/openmetrics-text;version=1.0.0"}
"""What Prometheus asks for."""


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Render in this process beside prometheus_client, then scrape a real bridge under load."""
    sessions = 100 if quick else 1_000
    yield from _rendered(sessions, times=3 if quick else 7)
    yield from uvloop.run(_scraped(sessions, seconds=2 if quick else 8))


def requests_of(session_id: str) -> list[wire.MetricsRequest]:
    """Return what a session has said that has been running for a while: about a hundred series."""
    seen = range(CLASSES * CLASSES)
    batches = [
        wire.BatchData(
            epoch=3,
            batch_idx=index,
            batch_loss=0.5 / (index + 1),
            duration_ms=16.0,
            ground_truth=[place % CLASSES for place in seen],
            predictions=[
                wire.Prediction(predicted_class=place % CLASSES, confidence=0.9) for place in seen
            ],
        )
        for index in range(BATCHES)
    ]
    usage = wire.ResourceUsage(
        cpu_percent=90, memory_mb=2_000, gpus=[wire.GpuUsage(index=0, utilization_percent=95)]
    )
    speed = wire.PerformanceData(time_per_batch_ms=16, current_fps=960, resource_usage=usage)
    epoch = wire.EpochData(epoch=2, average_loss=0.4, average_accuracy=0.9, learning_rate=0.1)
    scalars = wire.ScalarData(values={f"metric_{place}": place / 3 for place in range(SCALARS)})
    config = wire.TrainingConfig(total_epochs=90, batches_per_epoch=500, batch_size=64)
    status = wire.StatusUpdate(status=wire.RUNNING, config=config)
    return [
        wire.MetricsRequest(session_id=session_id, status_update=status),
        *(wire.MetricsRequest(session_id=session_id, batch_data=batch) for batch in batches),
        wire.MetricsRequest(session_id=session_id, epoch_data=epoch),
        wire.MetricsRequest(session_id=session_id, performance_data=speed),
        wire.MetricsRequest(session_id=session_id, scalar_data=scalars),
    ]


def _rendered(sessions: int, *, times: int) -> Iterator[Row]:
    exposition = _filled(sessions)
    page = asyncio.run(exposition.render()).body.decode()
    if total(page, "training_batches_total") != sessions * BATCHES:
        raise BenchmarkError("the page does not tell of every session")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Parsed(page))

    samples = sum(not line.startswith("#") for line in page.splitlines())
    regime = f"{sessions:,} sessions, {samples:,} series"
    cpu = median([asyncio.run(_cpu_seconds(exposition.render)) for _ in range(times)])
    other = median([asyncio.run(_cpu_seconds(_generated(registry))) for _ in range(times)])
    hold = median([asyncio.run(_longest_hold(exposition)) for _ in range(times)])
    limit = CPU_LIMIT_MILLISECONDS * samples / 100_000
    yield Row(
        name="/metrics rendered, CPU",
        regime=regime,
        figure=cpu * MILLISECONDS,
        unit="ms",
        target=f"<= {CPU_LIMIT_MILLISECONDS} ms per 100,000 series",
        met=cpu * MILLISECONDS <= limit,
        floor=("prometheus_client", other * MILLISECONDS),
    )
    yield Row(
        name="/metrics rendered, event loop held at most",
        regime=regime,
        figure=hold * MILLISECONDS,
        unit="ms",
        target=f"<= {HOLD_LIMIT_MILLISECONDS} ms",
        met=hold * MILLISECONDS <= HOLD_LIMIT_MILLISECONDS,
        peers={"prometheus_client": other * MILLISECONDS},
    )


def _filled(sessions: int) -> Exposition:
    """Return an exposition of sessions that have been running for a while."""
    telemetry = Telemetry()
    metrics = TrainingMetrics(telemetry)
    for place in range(sessions):
        now = time.time()
        session = Session(f"run-{place:04d}", Client(name="benchmark"), Config(), now=now)
        for event in (Registered(), Connected()):
            metrics.consume(session, event, now)
        for request in requests_of(session.id):
            for update in decode_request(
                request.SerializeToString(), MessageLimits(images_per_batch=64)
            ):
                if not isinstance(update, Update):
                    raise BenchmarkError(f"refused: {update}")
                metrics.consume(session, update.message, now)
    return Exposition(metrics, telemetry)


class Parsed(Collector):
    """The families of a page, for prometheus_client to render them anew."""

    def __init__(self, page: str) -> None:
        """Parse the page once."""
        self._families = list(text_string_to_metric_families(page))

    def collect(self) -> Sequence[Metric]:
        """Return all of them."""
        return self._families


def _generated(registry: CollectorRegistry) -> Callable[[], Awaitable[object]]:
    async def generate() -> bytes:
        return bytes(generate_latest(registry))

    return generate


async def _cpu_seconds(render: Callable[[], Awaitable[object]]) -> float:
    started = time.process_time()
    await render()
    return time.process_time() - started


async def _longest_hold(exposition: Exposition) -> float:
    """Return the longest that another task had to wait for its turn."""
    rendering = asyncio.create_task(exposition.render())
    longest, before = 0.0, time.perf_counter()
    while not rendering.done():
        await asyncio.sleep(0)
        longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
    return longest


@dataclass(slots=True)
class Scrapes:
    """What came of several scrapes of one bridge."""

    count: int = 0
    page: str = ""


async def _scraped(sessions: int, *, seconds: float) -> list[Row]:
    """Scrape a bridge every second while streams report, and compare with nobody scraping."""
    with bridge("--max-new-sessions-per-minute", "100000") as served:
        await _report(served.server, sessions)
        cpu = await asyncio.to_thread(_cpu_of_scrape, served, 3)
        load_ = Load(streams=8, messages=int(60 * seconds), per_second=60, name="quiet")
        quiet = await load.send(served.server, load_)
        load_ = Load(streams=8, messages=int(60 * seconds), per_second=60, name="scraped")
        stop = asyncio.Event()
        scraping = asyncio.create_task(_scrape_until(stop, served))
        busy = await load.send(served.server, load_)
        stop.set()
        scrapes = await scraping
        served.expect("training_batches_total", sessions * BATCHES + 2 * load_.total)
    series = sum(not line.startswith("#") for line in scrapes.page.splitlines())
    regime = f"{sessions:,} sessions, {series:,} series"
    p99, floor = (percentile(found.ack_seconds, 0.99) * MILLISECONDS for found in (busy, quiet))
    return [
        Row(
            name="/metrics over HTTP, OpenMetrics, gzip: CPU of the bridge",
            regime=regime,
            figure=cpu * MILLISECONDS,
            unit="ms",
        ),
        Row(
            name="/metrics scraped every second: Ack p99",
            regime=f"{regime}, 8 streams x 60/s, {scrapes.count} scrapes",
            figure=p99,
            unit="ms",
            target=f"<= {ACK_LIMIT} x floor",
            met=p99 <= ACK_LIMIT * floor,
            floor=("not scraped", floor),
        ),
    ]


async def _report(server: Server, sessions: int) -> None:
    """Register sessions and have each say what there is to say, over a few connections."""
    names = [f"run-{place:04d}" for place in range(sessions)]
    await asyncio.gather(*(_say(server, names[start::8]) for start in range(8)))


async def _say(server: Server, names: Sequence[str]) -> None:
    async with connected(server.grpc_address) as channel:
        for name in names:
            await register(channel, name)
            call = opened(channel)
            requests = requests_of(name)
            for request in requests:
                await call.write(request.SerializeToString())
            for _ in range(BATCHES):
                response = await call.read()
                if response is EOF or response.WhichOneof("payload") != "ack":
                    raise BenchmarkError(f"{name}: instead of an Ack: {response}")
            await call.done_writing()


def _cpu_of_scrape(served: Bridge, times: int) -> float:
    before = served.server.cpu_seconds
    for _ in range(times):
        _scrape(served)
    return (served.server.cpu_seconds - before) / times


async def _scrape_until(stop: asyncio.Event, served: Bridge) -> Scrapes:
    scrapes = Scrapes()
    while not stop.is_set():
        scrapes.page = await asyncio.to_thread(_scrape, served)
        scrapes.count += 1
        await asyncio.sleep(1)
    return scrapes


def _scrape(served: Bridge) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", served.server.ports["http"], timeout=30)
    try:
        connection.request("GET", "/metrics", headers=SCRAPE_HEADERS)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise BenchmarkError(f"/metrics answered {response.status}")
    return (gzip.decompress(body) if response.headers["Content-Encoding"] else body).decode()
