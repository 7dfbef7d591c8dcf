"""Try a PostgreSQL as the bridge uses it."""

import psycopg

from bridge.errors import SettingError, StorageError
from bridge.storage.postgres.connecting import DatabaseAddress
from bridge.storage.postgres.failures import reason
from bridge.storage.postgres.fitness import connect_checked


def probe_database(url: str) -> None:
    """Log in to the server that takes writes, and look whether bridges can use the database.

    Raises StorageError with the cause and what to change, which is what a start says too, and SettingError for a URL that
    cannot be read. No password is in either.
    """
    address = DatabaseAddress(url)
    try:
        connect_checked(address).close()
    except psycopg.Error as error:
        raise StorageError(
            f"the database {address} cannot be used: {reason(error, address)}"
        ) from error
    except SettingError as error:
        raise StorageError(str(error).removeprefix("state: ")) from error
