"""Brings the tables of a database to the newest revision."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from bridge.storage.revisions import (
    CURRENT,
    READ_CURRENT,
    READ_OLDEST_READER,
    FoundRevision,
)
from bridge.storage.schema import REVISIONS

URLS = {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://"}
"""By dialect; the connection is there already."""


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


def found_revision(connection: Connection) -> FoundRevision:
    """Return what a database says about its tables."""
    if not inspect(connection).has_table(CURRENT.name):
        return FoundRevision(0)
    revision = connection.scalar(READ_CURRENT)
    known = inspect(connection).has_table(REVISIONS.name)
    oldest = connection.scalar(READ_OLDEST_READER) if known else 0
    return FoundRevision(int(revision or 0), int(oldest or 0))


@contextmanager
def connected(connection: Any, dialect: str) -> Iterator[Connection]:
    """Yield what SQLAlchemy makes of a connection, which stays open."""
    engine = create_engine(
        URLS[dialect], creator=lambda: connection, poolclass=StaticPool, pool_reset_on_return=None
    )
    with closing(engine.connect()) as opened:
        yield opened
