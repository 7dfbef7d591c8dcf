"""Whether bridges can share a PostgreSQL, and what to change where they cannot."""

import psycopg
from sqlalchemy import func, select

from bridge.errors import SettingError
from bridge.storage.migrate import is_migration_due
from bridge.storage.postgres.connecting import BoundedConnection, DatabaseAddress
from bridge.storage.statements import Statement

OLDEST_VERSION = 15
"""Of PostgreSQL; the tests run on it."""

MAY_CREATE = Statement(
    select(func.has_schema_privilege(func.current_schema(), "CREATE").label("may_create"))
)
IS_STANDBY = Statement(select(func.pg_is_in_recovery().label("is_standby")))


class UnfitError(SettingError):
    """The operator must change the database; the text says what, without the name of a setting."""


class UnwritableServerError(UnfitError):
    """The same of a server that takes no writes: during a failover it soon may."""


def connect_checked(address: DatabaseAddress) -> BoundedConnection:
    """Return a connection to a database that bridges can use.

    Raises UnfitError for one that they cannot, SettingError for the tables of somebody else, and psycopg's
    OperationalError where none is reached.
    """
    try:
        connection = address.connect()
    except psycopg.OperationalError as error:
        # What libpq says of a standby is that its session is read-only, too.
        if "read-only" in str(error):
            _check_writable(address)
        raise
    try:
        _check(address, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(address: DatabaseAddress, connection: BoundedConnection) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST_VERSION:
        raise UnfitError(
            f"the database {address} runs on PostgreSQL {version}, which is too old: bridges need PostgreSQL"
            f" {OLDEST_VERSION} or later"
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnfitError(
            f"the database {address} has the encoding {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0"
        )
    if is_migration_due(connection) and not _is_so(connection, MAY_CREATE):
        raise UnfitError(
            f"the user of the database {address} may not make tables there: GRANT CREATE ON SCHEMA public TO that"
            " user, or make it the owner of the database"
        )


def _check_writable(address: DatabaseAddress) -> None:
    """Raise UnwritableServerError for a server that answers; a psycopg.OperationalError where none does any more."""
    with address.connect(target_session_attrs="any") as connection:
        is_standby = _is_so(connection, IS_STANDBY)
    if is_standby:
        raise UnwritableServerError(
            f"the database {address} is a standby, which takes no writes: see that its primary runs, and that the URL"
            " names the hosts of all servers"
        )
    raise UnwritableServerError(
        f"the database {address} is read-only, as default_transaction_read_only is on there: set it to off for the user of"
        " the bridges (ALTER ROLE ... SET default_transaction_read_only = off)"
    )


def _is_so(connection: BoundedConnection, question: Statement) -> bool:
    text, parameters = question.compiled("postgresql", {})
    row = connection.execute(text.encode(), parameters).fetchone()
    return bool(row and row[0])
