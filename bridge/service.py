"""Build every part; they start in the order written here and stop in reverse."""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from bridge.authenticators import doors, issuer_connections
from bridge.commands import Commands
from bridge.committer import Committer
from bridge.config import Settings
from bridge.connections import ConnectionWatch
from bridge.deletions import SessionDeleter, deletions
from bridge.encryption import grpc_certificates, http_tls, local_url_of, training_address
from bridge.grace import Grace
from bridge.housekeeping import housekeeping
from bridge.limits import (
    alert_bounds,
    command_bounds,
    grpc_connection_limits,
    http_connection_limits,
    retention_limits,
    tile_limits,
)
from bridge.open_files import raise_limit, shortage
from bridge.outputs import connections, image_store, span_endpoint, span_options, store_index
from bridge.pipeline import Pipeline
from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.server import bind_server, serve_grpc
from bridge.receiver.server_config import ServerConfig
from bridge.receiver.servicer import Servicer
from bridge.retention import Retention
from bridge.sessions import Sessions
from bridge.sinks import Sinks, Snapshotter
from bridge.sinks.attempt_limit import AttemptLimit
from bridge.sinks.deletions import DeletionRequests
from bridge.sinks.images import ImageLimits, Images, Keep, Sampler
from bridge.sinks.journal import Archive, Journal, replay
from bridge.sinks.metrics import Exposition, TrainingMetrics
from bridge.sinks.spans import Spans, open_spans
from bridge.storage.aside import DamagedFolder
from bridge.storage.folder import StateFolder, state_folder
from bridge.storage.index import ImageIndex
from bridge.storage.journal import JournalRows
from bridge.storage.objects import ObjectStore
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry
from bridge.web import (
    AppDependencies,
    Check,
    TileDecoder,
    TrustedProxies,
    bind_listener,
    build_app,
    serve_http,
)

DRAIN_PART, EXPORT_PART = 0.25, 0.2
"""Of the grace: for the last Acks, and for spans to reach their endpoint."""

UPLOAD_UNTIL = 1 - EXPORT_PART
"""The part of the grace after which shards no longer go to the object store."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a bridge listens: host:port of each server."""

    grpc: str
    http: str


async def run(
    settings: Settings, stopping: asyncio.Event, ready: Callable[[Addresses], None]
) -> None:
    """Run a bridge until `stopping` is set, then stop it within its grace.

    Raises SettingError for an address or a folder that cannot be used, StorageError for a database that
    cannot be opened.
    """
    grace_seconds = settings.shutdown_grace_seconds
    grace = Grace(grace_seconds)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(state_folder(settings.state_folder))
        listener = stack.enter_context(bind_listener(settings.http_address))
        local_url = local_url_of(settings, listener.address)
        telemetry = Telemetry(public_url=settings.public_url or local_url)
        _report_shortage(settings, telemetry)
        admitted = doors(settings, telemetry)
        grpc_server = await stack.enter_async_context(
            bind_server(
                settings.grpc_address,
                max_message_bytes=settings.max_message_bytes,
                lookahead_bytes=settings.grpc_lookahead_bytes,
                certificates=grpc_certificates(settings, telemetry),
                limits=grpc_connection_limits(settings),
            )
        )

        database = SqliteDatabase(
            folder.database,
            durable=folder.is_durable,
            log_damaged=DamagedFolder(folder.damaged, telemetry).copy_log,
        )
        stack.callback(database.close)
        archive = Archive(database, on_damaged=partial(telemetry.unexpected_error, "archive"))
        sessions = _sessions(settings)
        commands = Commands(bounds=command_bounds(settings))

        metrics = TrainingMetrics(telemetry, monotonic=time.monotonic)
        store = image_store(settings, folder)
        images = _images(settings, folder, store, database, telemetry, metrics)
        elsewhere = await stack.enter_async_context(
            store_index(settings, folder, store, database, telemetry).running()
        )
        spans = await _spans(
            stack, settings, folder, database, telemetry, settings.public_url or local_url
        )
        rows = JournalRows(database)
        snapshotters: tuple[Snapshotter, ...] = (metrics, *spans, commands)
        journal = Journal(rows, snapshotters, telemetry, keeps_records=folder.is_durable)
        requests = DeletionRequests()
        sinks = Sinks(
            # The journal takes down what is known of a session that expires before the others drop it. Metrics
            # come before images: the result of an image is counted in the series of its session.
            consumers=(
                journal,
                metrics,
                images,
                *spans,
                _attempt_limit(settings, requests, telemetry),
            ),
            # They collect at one moment and write in one transaction. Deletions come before the journal, which
            # may write a new session of the same name; the sequence of the others does not matter.
            durables=(requests, images, *spans, journal),
            # Each has its own key in a checkpoint: their sequence does not matter.
            snapshotters=snapshotters,
            # As they consumed; commands replay the events that the pipeline had made of theirs.
            replayers=(metrics, images, *spans, commands),
        )
        committer = Committer(sinks.durables, database, telemetry, is_durable=folder.is_durable)
        replayed = replay(
            rows,
            sinks.replayers,
            telemetry,
            ended_after_ms=round((time.time() - settings.session_linger_seconds) * 1000),
            limit=settings.max_sessions,
        )
        journal.resume(replayed)

        # At a stop images close their shards, commit, and upload; the committer ends with the commit that
        # records the uploads, and spans deliver what it has put into their outbox.
        await stack.enter_async_context(committer.running())
        await stack.enter_async_context(
            images.running(committer, drain_seconds=lambda: grace.left(UPLOAD_UNTIL))
        )
        stack.callback(journal.checkpoint_all)
        pipeline = Pipeline(
            sessions=sessions,
            commands=commands,
            sinks=sinks.consumers,
            committer=committer,
            telemetry=telemetry,
        )
        images.resume(replayed.sessions)
        for session in replayed.sessions:
            pipeline.restore(session)
        await stack.enter_async_context(housekeeping(pipeline, sessions, database, telemetry))
        await stack.enter_async_context(
            deletions(requests, database, store, telemetry, forget=elsewhere.forget)
        )
        retention = Retention(
            retention_limits(settings),
            sessions=sessions,
            committer=committer,
            requests=requests,
            database=database,
            telemetry=telemetry,
        )
        await stack.enter_async_context(retention.running())
        deleter = SessionDeleter(
            sessions=sessions,
            pipeline=pipeline,
            committer=committer,
            requests=requests,
            forget=journal.discard,
            telemetry=telemetry,
        )

        connection_watch = ConnectionWatch(
            (*connections(settings), *issuer_connections(settings)), telemetry
        )
        await stack.enter_async_context(connection_watch.running())

        deps = AppDependencies(
            sessions=sessions,
            commands=commands,
            submit_command=pipeline.submit,
            note_alert=pipeline.note_alert,
            delete_session=deleter.delete,
            index=ImageIndex(database),
            read_image=images.reader.read,
            metrics=Exposition(metrics, telemetry),
            tiles=TileDecoder(tile_limits(settings)),
            archive=archive,
            telemetry=telemetry,
            stored_sessions=elsewhere,
            readiness=(
                Check("stopping", lambda: "it is stopping" if stopping.is_set() else ""),
                Check("commits", committer.problem),
                Check("spool", images.problem),
            ),
            connection_checks=connection_watch.checks,
            public_url=settings.public_url or "",
            grafana_url=settings.grafana_url or "",
            frame_ancestors=tuple((settings.frame_ancestors or "").split()),
            grpc_address=training_address(settings, grpc_server.address),
            allowed_hosts=tuple((settings.allowed_hosts or "").split()),
            connection_limits=http_connection_limits(settings),
            alert_bounds=alert_bounds(settings),
            trusted_proxies=TrustedProxies.of(settings.trusted_proxies or ""),
            authentication=admitted.http,
        )
        await stack.enter_async_context(
            serve_http(build_app(deps), listener, http_tls(settings, telemetry))
        )

        stream_deps = StreamDependencies(
            pipeline=pipeline,
            sessions=sessions,
            commands=commands,
            telemetry=telemetry,
            count_images=images.counts,
            load_archived=archive.load_archived,
            last_attempt_with_images=lambda name: max(
                deps.index.last_attempt(name), images.last_attempt(name)
            ),
            is_being_archived=journal.is_being_archived,
            authentication=admitted.grpc,
        )
        servicer = Servicer(stream_deps, _server_config(settings, local_url))
        await stack.enter_async_context(
            serve_grpc(grpc_server, servicer, grace_seconds=grace_seconds * DRAIN_PART)
        )
        ready(Addresses(grpc=grpc_server.address, http=listener.address))
        await stopping.wait()
        grace.begin()


def _report_shortage(settings: Settings, telemetry: Telemetry) -> None:
    """Raise the limit of open files, and log where clients may use it up."""
    short = shortage(
        raise_limit(),
        grpc_connections=settings.grpc_max_connections,
        http_connections=settings.http_max_connections,
    )
    if short:
        telemetry.event("few file descriptors", problem=short)


def _sessions(settings: Settings) -> Sessions:
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


def _attempt_limit(
    settings: Settings, requests: DeletionRequests, telemetry: Telemetry
) -> AttemptLimit:
    limits = retention_limits(settings)
    return AttemptLimit(limits.attempts, limits.images, requests, telemetry)


def _images(
    settings: Settings,
    folder: StateFolder,
    store: ObjectStore,
    database: SqliteDatabase,
    telemetry: Telemetry,
    metrics: TrainingMetrics,
) -> Images:
    rate = settings.images_batches_per_second
    return Images(
        folder.spool,
        store,
        database,
        telemetry,
        on_resolved=metrics.on_images_resolved,
        sampler=Sampler(Keep(settings.images_keep), batches_per_second=rate),
        limits=ImageLimits(spool_bytes=settings.spool_max_bytes),
        keeps_spool=folder.is_durable,
    )


async def _spans(
    stack: AsyncExitStack,
    settings: Settings,
    folder: StateFolder,
    database: SqliteDatabase,
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


def _server_config(settings: Settings, local_url: str) -> ServerConfig:
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
