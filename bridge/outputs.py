"""Build what the bridge writes to, and reads back, from its settings, and the connections that try it."""

import tempfile
from functools import partial
from pathlib import Path

from bridge.config import Settings
from bridge.config.state_url import masked
from bridge.connections import Connection, blocking, probe_folder
from bridge.sinks.images.elsewhere import StoreIndex, StoreIndexLimits
from bridge.sinks.spans import Endpoint, SpanOptions, WindowLimits, probe_endpoint
from bridge.storage.database import Database
from bridge.storage.deletions import pending_deletions
from bridge.storage.folder import StateFolder
from bridge.storage.index_cache import IndexCache
from bridge.storage.objects import ObjectStore
from bridge.storage.probe import probe_store
from bridge.storage.shards import is_rebuilt, shards_of_session
from bridge.storage.stores import local_folder, open_store
from bridge.telemetry import Telemetry


def image_store(settings: Settings, folder: StateFolder) -> ObjectStore:
    """Return the store for images; raises SettingError for settings that contradict each other."""
    access, secret = settings.s3_access_key, settings.s3_secret_key
    return open_store(
        settings.images_store or folder.images.as_uri(),
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=access.get_secret_value() if access else "",
        secret_key=secret.get_secret_value() if secret else "",
        path_style=settings.s3_path_style,
        ca_file=str(settings.s3_ca_file or ""),
    )


def store_index(
    settings: Settings,
    folder: StateFolder,
    store: ObjectStore,
    database: Database,
    telemetry: Telemetry,
) -> StoreIndex:
    """Return what finds the images of sessions that other bridges have received; nothing is asked yet."""
    return StoreIndex(
        store,
        IndexCache(folder.store_index),
        telemetry,
        own_keys=lambda name: {shard.key for shard in shards_of_session(database, name)},
        deletions=partial(pending_deletions, database),
        is_shared=lambda: bool(database.bridge_id) and is_rebuilt(database, "store"),
        limits=StoreIndexLimits(images=settings.images_index_limit),
    )


def span_endpoint(settings: Settings, instance_id: str) -> Endpoint | None:
    """Return where spans go, or None where no endpoint is set."""
    if not settings.spans_endpoint:
        return None
    return Endpoint(
        settings.spans_endpoint,
        protocol=settings.otlp_protocol,
        headers=settings.headers,
        service_name=settings.otlp_service_name,
        instance_id=instance_id,
        resource_attributes=settings.resource_attributes,
        timeout_seconds=settings.otlp_timeout_seconds,
        compression=settings.otlp_compression,
        ca_file=str(settings.otlp_ca_file or ""),
        client_cert_file=str(settings.otlp_client_cert_file or ""),
        client_key_file=str(settings.otlp_client_key_file or ""),
    )


def span_options(settings: Settings) -> SpanOptions:
    """Return what spans are made beside those that each session has."""
    windows = WindowLimits(settings.spans_every_steps, settings.spans_every_seconds)
    return SpanOptions(windows, has_dl_attributes=settings.spans_dl_attributes)


def connections(settings: Settings) -> tuple[Connection, ...]:
    """Return every connection that these settings make a bridge depend on; nothing is tried yet."""
    state = settings.state_folder or Path(tempfile.gettempdir())
    setting = "state" if settings.state_url is None else "spool_folder"
    probe = blocking(partial(probe_folder, state, setting=setting))
    found = [Connection("state_folder", str(state), probe)]
    if settings.state_url is not None:
        found.append(_database_connection(settings.state_url))
    if settings.images_keep != "none":
        found.append(_store_connection(settings, StateFolder(state, is_durable=True)))
    endpoint = span_endpoint(settings, "connection-check")
    if endpoint is not None:
        found.append(Connection("otlp", endpoint.url, partial(probe_endpoint, endpoint)))
    return tuple(found)


def _database_connection(url: str) -> Connection:
    def probe() -> None:
        # A bridge with a folder does without the libraries of PostgreSQL.
        from bridge.storage.postgres.probe import probe_database  # noqa: PLC0415

        probe_database(url)

    return Connection("database", masked(url), blocking(probe))


def _store_connection(settings: Settings, folder: StateFolder) -> Connection:
    url = settings.images_store or folder.images.as_uri()
    path = local_folder(url)
    if path is not None:
        probe = blocking(partial(probe_folder, path, setting="images_store"))
        return Connection("object_store", url, probe)
    target = f"{url} at {settings.s3_endpoint}"
    return Connection(
        "object_store", target, blocking(lambda: probe_store(image_store(settings, folder)))
    )
