"""Builds the parts of the spans sink."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bridge.sinks.spans.delivery import Delivery
from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.sink import DEFAULT_OPTIONS, SpanOptions, Spans
from bridge.storage.database import Database
from bridge.storage.outbox import SpanOutbox
from bridge.telemetry import Telemetry


@asynccontextmanager
async def open_spans(
    database: Database,
    telemetry: Telemetry,
    endpoint: Endpoint,
    *,
    public_url: str = "",
    grace_seconds: float = 5.0,
    keeps_outbox: bool = True,
    options: SpanOptions = DEFAULT_OPTIONS,
    monotonic: Callable[[], float] | None = None,
) -> AsyncIterator[Spans]:
    """Yield the sink, whose spans are delivered in the background.

    `options` and `monotonic` are those of `Spans`; `keeps_outbox`: the database outlives this process.

    Enter it before the committer, so that the last commit is delivered too.

    Raises SettingError when the endpoint is invalid, StorageError when the database cannot be read.
    """
    # OpenTelemetry takes long to import, and only bridges with an endpoint need it.
    from bridge.sinks.spans.otlp import OtlpExporter  # noqa: PLC0415

    exporter = OtlpExporter(endpoint)
    outbox = SpanOutbox(database)
    misnumbered = outbox.discard_misnumbered()
    telemetry.spans_waiting(outbox.count())
    if misnumbered:
        telemetry.spans_dropped(misnumbered, "damaged")
    sink = Spans(
        outbox,
        telemetry,
        public_url=public_url,
        options=options,
        monotonic=monotonic,
    )
    delivery = Delivery(
        outbox, exporter, telemetry, waiting=sink.waiting, keeps_outbox=keeps_outbox
    )
    async with delivery.running(grace_seconds=grace_seconds):
        yield sink
