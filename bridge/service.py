"""Build every part; they start in the order written here and stop in reverse."""

import asyncio
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
from bridge.encryption import (
    grpc_certificates,
    http_fingerprint,
    http_tls,
    local_url_of,
    training_address,
)
from bridge.grace import Grace
from bridge.housekeeping import housekeeping
from bridge.inbox import COMMAND, command_receiver
from bridge.limits import (
    alert_bounds,
    command_bounds,
    grpc_connection_limits,
    http_connection_limits,
    tile_limits,
)
from bridge.outputs import connections, image_store, store_index
from bridge.parts import (
    EXPORT_PART,
    attempt_limit,
    images_sink,
    replayed_at_start,
    report_shortage,
    retention,
    server_config,
    session_registry,
    spans_sink,
)
from bridge.pipeline import Pipeline
from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.server import bind_server, serve_grpc
from bridge.receiver.servicer import Servicer
from bridge.receiver.shared_sessions import lose_stream
from bridge.sharing import SessionParts, Sharing
from bridge.sinks import Sinks, Snapshotter
from bridge.sinks.deletions import DeletionRequests
from bridge.sinks.journal import Archive, Journal
from bridge.sinks.metrics import Exposition, TrainingMetrics
from bridge.state import opened_state
from bridge.storage.folder import state_folder
from bridge.storage.index import ImageIndex
from bridge.storage.journal import JournalRows
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
from bridge.web.alerts.passing_on import ALERT, alert_receiver

DRAIN_PART = 0.25
"""Of the grace: for the last Acks."""

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
    grace = Grace(settings.shutdown_grace_seconds)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(state_folder(settings.state_folder))
        listener = stack.enter_context(bind_listener(settings.http_address))
        local_url = local_url_of(settings, listener.address)
        telemetry = Telemetry(public_url=settings.public_url or local_url)
        report_shortage(settings, telemetry)
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

        state = stack.enter_context(
            opened_state(
                settings,
                folder,
                telemetry,
                peer_url=settings.peer_url or local_url,
                fingerprint=http_fingerprint(settings),
            )
        )
        database = state.database
        sharing = Sharing(state, settings, telemetry)
        stack.callback(sharing.resign)
        archive = Archive(database, on_damaged=partial(telemetry.unexpected_error, "archive"))
        sessions = session_registry(settings)
        commands = Commands(bounds=command_bounds(settings))

        metrics = TrainingMetrics(
            telemetry, monotonic=time.monotonic, is_shared=state.shared is not None
        )
        store = image_store(settings, folder)
        images = images_sink(settings, folder, store, database, telemetry, metrics)
        elsewhere = await stack.enter_async_context(
            store_index(settings, folder, store, database, telemetry).running()
        )
        spans = await spans_sink(
            stack, settings, folder, database, telemetry, settings.public_url or local_url
        )
        rows = JournalRows(database)
        snapshotters: tuple[Snapshotter, ...] = (metrics, *spans, commands)
        journal = Journal(
            rows,
            snapshotters,
            telemetry,
            keeps_records=folder.is_durable,
            is_shared=bool(database.bridge_id),
        )
        requests = DeletionRequests(database.bridge_id)
        sinks = Sinks(
            # The journal takes down what is known of a session that expires before the others drop it. Metrics
            # come before images: the result of an image is counted in the series of its session.
            consumers=(
                journal,
                metrics,
                images,
                *spans,
                attempt_limit(settings, requests, telemetry),
                *sharing.sinks,
            ),
            # They collect at one moment and write in one transaction. Deletions come before the journal, which
            # may write a new session of the same name; the sequence of the others does not matter.
            durables=(requests, images, *spans, journal, *sharing.sinks),
            # Each has its own key in a checkpoint: their sequence does not matter.
            snapshotters=snapshotters,
            # As they consumed; commands replay the events that the pipeline had made of theirs.
            replayers=(metrics, images, *spans, commands),
        )
        committer = Committer(
            sinks.durables,
            database,
            telemetry,
            is_durable=folder.is_durable,
            on_fenced=sharing.on_fenced,
            on_forgotten=sharing.on_forgotten,
            take_arrived=sessions.take_arrived,
        )
        replayed = replayed_at_start(settings, state, rows, sinks.replayers, telemetry)
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
            is_shared=bool(database.bridge_id),
        )
        parts = SessionParts(sessions, pipeline, journal, images, committer)
        parts.resume(replayed.sessions)
        ownership = await sharing.begin(stack, parts, sinks)
        await stack.enter_async_context(housekeeping(pipeline, sessions, database, telemetry))
        await stack.enter_async_context(
            deletions(requests, database, store, telemetry, forget=elsewhere.forget)
        )
        await stack.enter_async_context(
            retention(settings, sessions, committer, requests, database, telemetry).running()
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
            delete_session=SessionDeleter(
                sessions=sessions,
                pipeline=pipeline,
                committer=committer,
                requests=requests,
                forget=journal.discard,
                telemetry=telemetry,
                bring=sharing.bring if ownership else None,
            ).delete,
            index=ImageIndex(database),
            read_image=images.reader.read,
            read_spooled=images.reader.read_spooled,
            metrics=Exposition(
                metrics, telemetry, committer.committed, is_shared=state.shared is not None
            ),
            tiles=TileDecoder(tile_limits(settings)),
            archive=archive,
            telemetry=telemetry,
            inbox=sharing.inbox(parts),
            stored_sessions=elsewhere,
            readiness=(
                Check("stopping", lambda: "it is stopping" if stopping.is_set() else ""),
                # Every bridge waits for a database that they share: trainers would find no better one.
                Check(
                    "commits",
                    committer.problem,
                    lambda: state.shared is not None and not committer.is_lost,
                ),
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
            peers=sharing.peers,
            peer_connections=sharing.connections,
        )
        await stack.enter_async_context(
            serve_http(
                build_app(deps),
                listener,
                http_tls(settings, telemetry, lambda: sharing.announce(http_fingerprint(settings))),
            )
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
            shared=ownership,
            authentication=admitted.grpc,
        )
        await sharing.serve(
            stack,
            parts,
            {COMMAND: command_receiver(pipeline.submit), ALERT: alert_receiver(deps)},
            on_lost=partial(lose_stream, stream_deps),
        )
        await stack.enter_async_context(
            serve_grpc(
                grpc_server,
                Servicer(stream_deps, server_config(settings, local_url)),
                grace_seconds=settings.shutdown_grace_seconds * DRAIN_PART,
            )
        )
        ready(Addresses(grpc=grpc_server.address, http=listener.address))
        await stopping.wait()
        grace.begin()
