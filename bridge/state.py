"""Opens what the bridge keeps its state in: a folder of its own, or a database that bridges share."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from bridge import __version__
from bridge.config import Settings
from bridge.storage.aside import DamagedFolder
from bridge.storage.database import Database, SharedDatabase
from bridge.storage.folder import StateFolder
from bridge.storage.sqlite import SqliteDatabase
from bridge.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class State:
    """Where sessions, the journal and the image index are."""

    database: Database
    shared: SharedDatabase | None
    """The same, where other bridges have it too."""
    acknowledgement: str = ""
    """What an Ack means there."""


@contextmanager
def opened_state(
    settings: Settings,
    folder: StateFolder,
    telemetry: Telemetry,
    *,
    peer_url: str,
    fingerprint: str,
) -> Iterator[State]:
    """Open the database until the block is left.

    Other bridges reach this one at `peer_url`, where its certificate has the fingerprint given. Raises SettingError for
    a database that cannot be used, StorageError for one that cannot be opened.
    """
    if settings.state_url is not None:
        shared, meaning = _shared(settings, folder, telemetry, peer_url, fingerprint)
        with closing(shared):
            yield State(shared, shared, meaning)
        return
    database = SqliteDatabase(
        folder.database,
        durable=folder.is_durable,
        log_damaged=DamagedFolder(folder.damaged, telemetry).copy_log,
    )
    with closing(database):
        yield State(database, None)


def _shared(
    settings: Settings, folder: StateFolder, telemetry: Telemetry, peer_url: str, fingerprint: str
) -> tuple[SharedDatabase, str]:
    """Return the database, and what an Ack means there."""
    # With a folder psycopg is not needed, nor waited for.
    from bridge.storage.postgres import (  # noqa: PLC0415
        BridgeDescription,
        acknowledgement_meaning,
        open_postgres,
    )

    assert settings.state_url is not None  # noqa: S101 -- as the caller has seen
    description = BridgeDescription(folder.instance_id, peer_url, fingerprint, __version__)
    database = open_postgres(settings.state_url, description, pool_size=settings.database_pool_size)
    meaning = acknowledgement_meaning(database)
    telemetry.takeovers.meaning_found(meaning)
    return database, meaning.sentence
