"""Try a PostgreSQL as the bridge uses it."""

import psycopg
from sqlalchemy import func, select

from bridge.errors import StorageError
from bridge.storage.postgres.connecting import DatabaseAddress
from bridge.storage.postgres.failures import reason
from bridge.storage.statements import Statement

MAY_CREATE = Statement(
    select(func.has_schema_privilege(func.current_schema(), "CREATE").label("may_create"))
)


def probe_database(url: str) -> None:
    """Log in to the server that takes writes, and look whether tables may be made there.

    Raises StorageError with the cause and what to change, SettingError for a URL that cannot be read. No password is
    in either.
    """
    address = DatabaseAddress(url)
    text, parameters = MAY_CREATE.compiled("postgresql", {})
    try:
        with address.connect() as connection:
            row = connection.execute(text.encode(), parameters).fetchone()
    except psycopg.Error as error:
        raise StorageError(
            f"the database {address} cannot be used: {reason(error, address)}"
        ) from error
    if not row or not row[0]:
        raise StorageError(
            f"the user of the database {address} may not make tables there: GRANT CREATE ON SCHEMA public TO that user, or make"
            " it the owner of the database"
        )
