"""Brings the tables of a database to the newest revision."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from bridge.errors import SettingError
from bridge.storage.revisions import (
    CURRENT,
    READ_CURRENT,
    READ_OLDEST_READER,
    FoundRevision,
)
from bridge.storage.schema import BRIDGES, METADATA, REVISIONS

URLS = {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://"}
"""By dialect; the connection is there already."""

MARKS = frozenset((REVISIONS.name, BRIDGES.name))
"""Tables that every bridge has made in a database that is shared."""


def migrate(
    connection: Any, dialect: str = "postgresql", *, first: Callable[[], object] = lambda: None
) -> bool:
    """Create or change the tables, completely or not at all; False: there was nothing to do, and nothing was written.

    `connection` is one of sqlite3 or psycopg with no open transaction, and is left like that. `first` is called
    where there is something to do, before anything is changed, in the transaction of the changes.

    Raises SettingError for the tables of a newer bridge that this one cannot use, and the errors of the connection's
    own library.
    """
    try:
        with connected(connection, dialect) as opened:
            is_due = found_revision(opened).is_due
            opened.rollback()
            if is_due:
                # Alembic is slow to import, and most starts have nothing to change.
                from bridge.storage.upgrade import upgrade  # noqa: PLC0415 -- see above

                first()
                upgrade(opened)
                opened.commit()
            return is_due
    except DBAPIError as error:
        raise (error.orig or error) from error


def is_migration_due(connection: Any, dialect: str = "postgresql") -> bool:
    """Return whether tables are missing, or of an older revision; raises what `migrate` raises, and writes nothing."""
    try:
        with connected(connection, dialect) as opened:
            is_due = found_revision(opened).is_due
            opened.rollback()
            return is_due
    except DBAPIError as error:
        raise (error.orig or error) from error


def found_revision(connection: Connection) -> FoundRevision:
    """Return what a database says about its tables; raises SettingError for those of another program."""
    if connection.dialect.name == "postgresql":
        _check_ours(connection)
    if not inspect(connection).has_table(CURRENT.name):
        return FoundRevision(0)
    revision = connection.scalar(READ_CURRENT)
    known = inspect(connection).has_table(REVISIONS.name)
    oldest = connection.scalar(READ_OLDEST_READER) if known else 0
    return FoundRevision(int(revision or 0), int(oldest or 0))


def _check_ours(connection: Connection) -> None:
    """Raise SettingError for a database with tables that no bridge has made there."""
    tables = set(inspect(connection).get_table_names())
    if CURRENT.name not in tables:
        is_ours = tables.isdisjoint(METADATA.tables)
    else:
        revision = str(connection.scalar(READ_CURRENT) or 0)
        is_ours = revision.isdecimal() and tables.issuperset(MARKS)
    if not is_ours:
        raise SettingError(
            "state: the database holds the tables of another program; make one for the bridges alone"
        )


@contextmanager
def connected(connection: Any, dialect: str) -> Iterator[Connection]:
    """Yield what SQLAlchemy makes of a connection, which stays open."""
    engine = create_engine(
        URLS[dialect], creator=lambda: connection, poolclass=StaticPool, pool_reset_on_return=None
    )
    with closing(engine.connect()) as opened:
        yield opened
