"""What a bridge does with a shared database before anything else: wait for it, make its tables, and register."""

import logging
import random
import time

import psycopg

from bridge.errors import SettingError
from bridge.storage.migrate import migrate
from bridge.storage.postgres.bridge_rows import LOCK
from bridge.storage.postgres.connecting import DatabaseAddress
from bridge.storage.postgres.database import POOL_SIZE, PostgresDatabase
from bridge.storage.postgres.failures import reason
from bridge.storage.postgres.fitness import UnfitError, UnwritableServerError, connect_checked
from bridge.storage.postgres.registration import BridgeDescription, Registration, register
from bridge.storage.statements import NOTHING

log = logging.getLogger("bridge")

WAIT_SECONDS = 30.0
"""A database that has just been started, or fails over, is waited for so long."""

RETRY_SECONDS = 1.0

CLOCKS_SECONDS = 10.0
"""How far the clocks of a bridge and of the database may be apart without a word about it."""

PATIENT = (
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;"
    " SET LOCAL statement_timeout = 0;"
    " SET LOCAL lock_timeout = 0;"
    " SET LOCAL idle_in_transaction_session_timeout = 0"
)
"""First in a transaction that waits for other bridges: whatever is set for the user or the database ends none of them."""


def open_postgres(
    url: str,
    bridge: BridgeDescription,
    *,
    pool_size: int = POOL_SIZE,
    wait_seconds: float = WAIT_SECONDS,
) -> PostgresDatabase:
    """Return the database at `url`, with its tables, and with this bridge registered in it.

    Raises SettingError where it cannot be reached within `wait_seconds`, or cannot be used.
    """
    address = DatabaseAddress(url)
    try:
        _wait_for(address, wait_seconds)
        _make_tables(address)
        registration = _register(address, bridge)
    except psycopg.Error as error:
        raise _unusable(address, error) from error
    except UnfitError as error:
        raise SettingError(f"state: {error}") from error
    return PostgresDatabase(address, registration, pool_size=pool_size)


def _wait_for(address: DatabaseAddress, seconds: float) -> None:
    """Try until it is there and takes writes, and log each cause once.

    Raises what `connect_checked` raises, where the time is over, or where waiting does not help.
    """
    deadline, said = time.monotonic() + seconds, ""
    while True:
        is_last = time.monotonic() >= deadline
        try:
            connect_checked(address).close()
        except (psycopg.OperationalError, UnwritableServerError) as error:
            if is_last:
                raise
            cause = address.redacted(str(error))
            if cause != said:
                log.warning(
                    "the database cannot be reached: trying again",
                    extra={"fields": {"of": str(address), "seconds": seconds, "error": cause}},
                )
            said = cause
        else:
            return
        time.sleep(RETRY_SECONDS * random.uniform(0.5, 1.0))


def _make_tables(address: DatabaseAddress) -> None:
    """Make or migrate the tables in one transaction, however long it takes."""
    with psycopg.connect(**{**address.arguments(), "autocommit": False}) as connection:

        def wait_for_others() -> None:
            connection.execute(PATIENT)
            connection.execute(*LOCK.compiled("postgresql", NOTHING))

        migrate(connection, first=wait_for_others)


def _register(address: DatabaseAddress, bridge: BridgeDescription) -> Registration:
    with address.connect() as connection, connection.transaction():
        connection.execute(PATIENT)
        registration = register(connection, bridge)
    ahead = registration.seconds_ahead
    if abs(ahead) > CLOCKS_SECONDS:
        log.warning(
            "the clock of this machine is %s that of the database, and with that perhaps of the other bridges: set it by"
            " NTP. Meanwhile pages of their sessions are old here, sessions may be taken for silent, and commands refused",
            "ahead of" if ahead > 0 else "behind",
            extra={"fields": {"of": str(address), "seconds": round(abs(ahead))}},
        )
    return registration


def _unusable(address: DatabaseAddress, error: psycopg.Error) -> SettingError:
    return SettingError(f"state: the database {address} cannot be used: {reason(error, address)}")
