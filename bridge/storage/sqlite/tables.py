"""Creates the tables of a database, or migrates those of an older format."""

import logging
import sqlite3
from pathlib import Path

from bridge.errors import StorageError
from bridge.storage.sqlite.migrations import MIGRATIONS, VERSION, missing_tables, statements

log = logging.getLogger("bridge")

SCHEMA = (Path(__file__).parent / "schema.sql").read_text()


def check_version(writer: sqlite3.Connection) -> None:
    """Raise StorageError for a database of a newer bridge, before anything in it is touched."""
    [version] = writer.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StorageError(
            f"the state folder was written by a newer trainbridge (format {version}, this one knows {VERSION});"
            " start that one, or give this one a state folder of its own"
        )


def prepare(writer: sqlite3.Connection, path: Path) -> None:
    """Create the tables, or migrate those of an older format, completely or not at all.

    A database that needs neither is not written to: a full disk must not keep a bridge from starting.
    """
    [version] = writer.execute("PRAGMA user_version").fetchone()
    missing = missing_tables(writer, SCHEMA)
    if version == VERSION and not missing:
        return
    [tables] = writer.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    # A large database is migrated in one transaction, which must not be held in memory.
    writer.execute("PRAGMA cache_spill=ON")
    writer.execute("BEGIN IMMEDIATE")
    try:
        if tables:
            for migration in MIGRATIONS:
                if version < migration.makes:
                    log.info(
                        "migrating the database to a newer format",
                        extra={
                            "fields": {"path": str(path), "from": version, "to": migration.makes}
                        },
                    )
                    counts = migration.run(writer)
                    log.info("the database was migrated", extra={"fields": counts})
        for statement in statements(SCHEMA):
            writer.execute(statement)
        if tables and "rebuilt" in missing:
            # Older databases had the whole spool in their index from the start; the store is read again.
            writer.execute("INSERT OR IGNORE INTO rebuilt VALUES ('spool')")
        writer.execute(f"PRAGMA user_version = {VERSION}")
        writer.execute("COMMIT")
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
