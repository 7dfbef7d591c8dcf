"""Try a PostgreSQL as the bridge uses it."""

import psycopg
from sqlalchemy import func, select

from bridge.errors import StorageError
from bridge.storage.statements import Statement

CONNECT_SECONDS = 10
"""For each host of the URL."""

MAY_CREATE = Statement(
    select(func.has_schema_privilege(func.current_schema(), "CREATE").label("may_create"))
)


def probe_database(url: str) -> None:
    """Log in to the server that takes writes, and look whether tables may be made there.

    Raises StorageError with the cause and what to change. No password is in it.
    """
    text, parameters = MAY_CREATE.compiled("postgresql", {})
    try:
        with psycopg.connect(
            url,
            connect_timeout=CONNECT_SECONDS,
            target_session_attrs="read-write",
            prepare_threshold=None,
        ) as connection:
            row = connection.execute(text.encode(), parameters).fetchone()
    except psycopg.ProgrammingError as error:
        raise StorageError(
            "the URL in state is not one that PostgreSQL's libpq can read: correct it"
        ) from error
    except psycopg.Error as error:
        raise StorageError(
            f"PostgreSQL cannot be used ({_first_line(error)}): check that it runs and takes writes, and address, user, password"
            " and database in state"
        ) from error
    if not row or not row[0]:
        raise StorageError(
            "the user in state may not make tables in its schema: GRANT CREATE ON SCHEMA public TO that user, or make it the"
            " owner of the database"
        )


def _first_line(error: psycopg.Error) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()
