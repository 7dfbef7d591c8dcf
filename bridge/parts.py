"""Builds parts of the bridge from its settings; `run` puts them together."""

import math
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bridge.committer import Committer
from bridge.config import Settings
from bridge.limits import retention_limits
from bridge.open_files import raise_limit, shortage
from bridge.outputs import span_endpoint, span_options
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.server_config import ServerConfig
from bridge.retention import Retention
from bridge.sessions import Sessions
from bridge.sinks import Replayer
from bridge.sinks.attempt_limit import AttemptLimit
from bridge.sinks.deletions import DeletionRequests
from bridge.sinks.images import ImageLimits, Images, Keep, Sampler
from bridge.sinks.journal import replay
from bridge.sinks.journal.replay import Replayed
from bridge.sinks.metrics import TrainingMetrics
from bridge.sinks.spans import Spans, open_spans
from bridge.state import State
from bridge.storage.database import Database
from bridge.storage.folder import StateFolder
from bridge.storage.journal import JournalRows
from bridge.storage.objects import ObjectStore
from bridge.telemetry import Telemetry

EXPORT_PART = 0.2
"""Of the grace: for spans to reach their endpoint."""


def report_shortage(settings: Settings, telemetry: Telemetry) -> None:
    """Raise the limit of open files, and log where clients may use it up."""
    short = shortage(
        raise_limit(),
        grpc_connections=settings.grpc_max_connections,
        http_connections=settings.http_max_connections,
    )
    if short:
        telemetry.event("few file descriptors", problem=short)


def session_registry(settings: Settings) -> Sessions:
    """Return the registry of sessions, empty."""
    return Sessions(
        limit=settings.max_sessions,
        new_per_minute=settings.max_new_sessions_per_minute,
        new_per_token=settings.max_new_sessions_per_token,
        heartbeat_seconds=settings.heartbeat_seconds,
        linger_seconds=settings.session_linger_seconds,
        lost_seconds=settings.session_lost_seconds,
        unused_seconds=settings.session_unused_seconds,
        release_seconds=settings.session_release_seconds,
        monotonic=time.monotonic,
    )


def attempt_limit(
    settings: Settings, requests: DeletionRequests, telemetry: Telemetry
) -> AttemptLimit:
    """Return what has the oldest attempts of a run deleted."""
    limits = retention_limits(settings)
    return AttemptLimit(limits.attempts, limits.images, requests, telemetry)


def images_sink(
    settings: Settings,
    folder: StateFolder,
    store: ObjectStore,
    database: Database,
    telemetry: Telemetry,
    metrics: TrainingMetrics,
) -> Images:
    """Return the images sink."""
    rate = settings.images_batches_per_second
    return Images(
        folder.spool,
        store,
        database,
        telemetry,
        on_resolved=metrics.on_images_resolved,
        sampler=Sampler(Keep(settings.images_keep), batches_per_second=rate),
        limits=ImageLimits(
            spool_bytes=settings.spool_max_bytes, shard_seconds=settings.longest_shard_seconds
        ),
        keeps_spool=folder.is_durable,
    )


async def spans_sink(
    stack: AsyncExitStack,
    settings: Settings,
    folder: StateFolder,
    database: Database,
    telemetry: Telemetry,
    public_url: str,
) -> tuple[Spans, ...]:
    """Return the spans sink, or nothing where no endpoint is set."""
    endpoint = span_endpoint(settings, folder.instance_id)
    if endpoint is None:
        return ()
    spans = open_spans(
        database,
        telemetry,
        endpoint,
        public_url=public_url,
        grace_seconds=settings.shutdown_grace_seconds * EXPORT_PART,
        keeps_outbox=folder.is_durable,
        options=span_options(settings),
        monotonic=time.monotonic,
    )
    return (await stack.enter_async_context(spans),)


def server_config(settings: Settings, local_url: str) -> ServerConfig:
    """Return what clients are asked to keep to."""
    rates = {"none": 0.0, "all": math.inf, "sample": settings.images_batches_per_second}
    return ServerConfig(
        limits=MessageLimits(values=settings.max_message_values),
        heartbeat_seconds=settings.heartbeat_seconds,
        max_message_bytes=settings.max_message_bytes,
        image_batches_per_second=rates[settings.images_keep],
        public_url=settings.public_url or "",
        local_url=local_url,
        max_streams=settings.max_streams,
        rebalance_seconds=settings.rebalance_seconds,
        max_streams_per_address=settings.max_streams_per_address,
        max_first_messages=settings.max_first_messages,
        first_message_seconds=settings.first_message_seconds,
        unread_seconds=settings.unread_seconds,
    )


def retention(
    settings: Settings,
    sessions: Sessions,
    committer: Committer,
    requests: DeletionRequests,
    database: Database,
    telemetry: Telemetry,
) -> Retention:
    """Return what has old sessions deleted."""
    return Retention(
        retention_limits(settings),
        sessions=sessions,
        committer=committer,
        requests=requests,
        database=database,
        telemetry=telemetry,
    )


def replayed_at_start(
    settings: Settings,
    state: State,
    rows: JournalRows,
    replayers: Sequence[Replayer],
    telemetry: Telemetry,
) -> Replayed:
    """Return what the journal of this bridge held, applied; sessions that bridges share are adopted instead."""
    if state.shared is not None:
        return Replayed((), ())
    return replay(
        rows,
        replayers,
        telemetry,
        ended_after_ms=round((time.time() - settings.session_linger_seconds) * 1000),
        limit=settings.max_sessions,
    )
