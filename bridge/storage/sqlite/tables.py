"""Creates the tables of a database, or migrates those of an older format."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.schema import CreateIndex, CreateTable

from bridge.errors import StorageError
from bridge.storage.migrate import migrate
from bridge.storage.revisions import CURRENT, NEWEST, STAMPS
from bridge.storage.schema import METADATA
from bridge.storage.sqlite.migrations import MIGRATIONS
from bridge.storage.statements import NOTHING, SQLITE

log = logging.getLogger("bridge")

TABLES = (*METADATA.sorted_tables, CURRENT)

FOUND_IN_SPOOL = (
    "CREATE TABLE rebuilt (place TEXT PRIMARY KEY) WITHOUT ROWID",
    "INSERT INTO rebuilt VALUES ('spool')",
)
"""Databases without this table had the whole spool in their index from the start; the store is read again."""


def check_version(writer: sqlite3.Connection) -> None:
    """Raise StorageError for a database of a newer bridge, before anything in it is touched."""
    version = _version(writer)
    if version > NEWEST:
        raise StorageError(
            f"the state folder was written by a newer trainbridge (format {version}, this one knows {NEWEST});"
            " start that one, or give this one a state folder of its own"
        )


def prepare(writer: sqlite3.Connection, path: Path) -> None:
    """Create the tables, or migrate those of an older format, completely or not at all.

    A database that needs neither is not written to: a full disk must not keep a bridge from starting.
    """
    version, tables = _version(writer), _tables(writer)
    if version == NEWEST and tables >= {table.name for table in TABLES}:
        return
    # A large database is migrated in one transaction, which must not be held in memory.
    writer.execute("PRAGMA cache_spill=ON")
    try:
        if tables and version < NEWEST:
            _migrate(writer, path, version, tables)
        else:
            _create(writer)
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException as error:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        if (
            isinstance(error, sqlite3.OperationalError)
            and error.sqlite_errorcode == sqlite3.SQLITE_ERROR
        ):
            raise StorageError(
                f"the database {path} has tables that no trainbridge created ({error}); nothing in it was changed."
                " Give the bridge a state folder of its own"
            ) from error
        raise
    finally:
        writer.execute("PRAGMA cache_spill=OFF")


def _migrate(writer: sqlite3.Connection, path: Path, version: int, tables: set[str]) -> None:
    def migrate_older() -> None:
        writer.execute("BEGIN IMMEDIATE")
        for migration in MIGRATIONS:
            if version < migration.makes:
                counts = migration.run(writer)
                log.info("the database was migrated", extra={"fields": counts})
        if "rebuilt" not in tables:
            for statement in FOUND_IN_SPOOL:
                writer.execute(statement)
        writer.execute(f"PRAGMA user_version = {NEWEST}")

    fields = {"path": str(path), "from": version, "to": NEWEST}
    log.info("migrating the database to a newer format", extra={"fields": fields})
    migrate(writer, "sqlite", first=migrate_older)


def _create(writer: sqlite3.Connection) -> None:
    """Create what the revisions would have made: they take as long as all else of a start."""
    writer.execute("BEGIN IMMEDIATE")
    for statement in _definitions():
        writer.execute(statement)
    if not writer.execute(str(CURRENT.select())).fetchall():
        for stamp in STAMPS:
            writer.execute(*stamp.compiled("sqlite", NOTHING))
    writer.execute(f"PRAGMA user_version = {NEWEST}")
    writer.execute("COMMIT")


def _definitions() -> Iterator[str]:
    for table in TABLES:
        yield str(CreateTable(table, if_not_exists=True).compile(dialect=SQLITE))
        for index in sorted(table.indexes, key=lambda index: index.name or ""):
            yield str(CreateIndex(index, if_not_exists=True).compile(dialect=SQLITE))


def _version(writer: sqlite3.Connection) -> int:
    [version] = writer.execute("PRAGMA user_version").fetchone()
    return int(version)


def _tables(writer: sqlite3.Connection) -> set[str]:
    rows = writer.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name for [name] in rows}
