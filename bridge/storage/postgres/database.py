"""The PostgreSQL database: it may be away, hang or move to another machine, and comes back by itself."""

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import repeat

import psycopg
from psycopg_pool import ConnectionPool

from bridge.errors import BridgeReplacedError, CommitsForgottenError, StorageError
from bridge.storage.database import OnNotify, Row
from bridge.storage.owners import TAKE
from bridge.storage.postgres.bridge_rows import (
    BEGIN_GROUP,
    COUNT_OWNED,
    DATABASE_SIZE,
    OWNED,
    TOUCH,
)
from bridge.storage.postgres.connecting import (
    BoundedConnection,
    DatabaseAddress,
    UnansweredError,
    configure,
)
from bridge.storage.postgres.failures import (
    CLIENT_REFUSALS,
    explain,
    is_stale,
    unreplicated,
)
from bridge.storage.postgres.listen import listening
from bridge.storage.postgres.registration import Registration
from bridge.storage.postgres.transaction import DIALECT, PostgresTransaction, RowByRow, run
from bridge.storage.statements import NOTHING, Statement
from bridge.storage.transaction import Parameters, RefusedRow

BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
    " SET LOCAL statement_timeout = 4000;"
    " SET LOCAL lock_timeout = 2000;"
    " SET LOCAL idle_in_transaction_session_timeout = {idle_ms}"
)
"""In each transaction: PgBouncer gives the next one another connection."""

GROUP_IDLE_MS = 1000
"""A bridge that is frozen inside of a group holds up whoever takes its sessions no longer than this."""

IDLE_MS = 5000

POOL_SECONDS = 5.0
"""Whoever needs a connection gets one within this time, or an error."""

POOL_SIZE = 8

SIZE_SECONDS = 30.0
"""The size of the database is asked for no more often."""

REPLACED = (
    "another process has the place of this bridge in the database, or it was away for so long that it was forgotten:"
    " nothing is acknowledged any more. Start it again, with a spool folder (--spool-folder) that no other bridge has"
)

FORGOTTEN = (
    "has gone back to an earlier moment, as after a failover to a standby that lagged behind, or a restore: what this"
    " bridge has in memory is written anew, and all else that was confirmed since is gone"
)

OUR_ERRORS = (psycopg.Error, *CLIENT_REFUSALS)


class PostgresDatabase:
    """Keeps rows in a database that bridges share; every method may be called from any thread.

    Queries and transactions take a connection from a pool; groups have one of their own, so that none waits for a page.
    """

    dialect = DIALECT

    def __init__(
        self, address: DatabaseAddress, registration: Registration, *, pool_size: int = POOL_SIZE
    ) -> None:
        """Write as the bridge that has been registered; `pool_size` is how many connections there are at most, but one."""
        self.bridge_id = registration.bridge_id
        self.number = registration.number
        """The number that the ids of this bridge's shards begin with."""
        self._generation = registration.generation
        self._started_ms = registration.started_ms
        self._address = address
        self._lock = threading.Lock()
        self._connection: BoundedConnection | None = None
        """Groups go through it."""
        self._doubtful: tuple[int, int] | None = None
        """Generation and number of the group whose commit was not answered."""
        self._committed: int | None = None
        """The number of the last group that was committed; None: there was none, or it has been forgotten."""
        self._owns_again = False
        """Whether the next group is to own what nobody has of what comes with it."""
        self._size_bytes = 0
        self._size_due = 0.0
        self._size_lock = threading.Lock()
        self._pool = ConnectionPool(
            connection_class=BoundedConnection,
            kwargs=address.arguments(),
            configure=configure,
            min_size=1,
            max_size=max(1, pool_size),
            timeout=POOL_SECONDS,
            reconnect_timeout=POOL_SECONDS,
            num_workers=2,
            open=True,
        )

    @property
    def generation(self) -> int:
        """How often other bridges have taken sessions from this one, as far as it knows."""
        return self._generation

    @contextmanager
    def transaction(
        self, *, refused: list[RefusedRow] | None = None
    ) -> Iterator[PostgresTransaction]:
        """Commit everything done inside, or nothing; an answer to the commit that is lost leaves it in doubt.

        With `refused`, rows that the database cannot hold are left out and added to it.

        Raises UnwritableError for such a row without it, and StorageError where nothing can be committed at the moment.
        """
        with self._explained("commit"), self._begun() as connection:
            yield _transaction(connection, refused)
            self._commit(connection)

    @contextmanager
    def group(
        self, *, refused: list[RefusedRow] | None = None, arrived: Collection[str] = ()
    ) -> Iterator[PostgresTransaction]:
        """Commit as `transaction` does, of the sessions that this bridge still owns.

        Raises StorageError, too, while a group before it is in doubt: see `settle`. Raises CommitsForgottenError once
        where the database lacks groups that it had confirmed: the group after it is to come with all sessions as
        `arrived`, and owns those again that nobody has.
        """
        with self._lock, self._explained("commit"), self._own_connection() as connection:
            if self._doubtful is not None:
                raise StorageError("whether the last commit was made is not known yet")
            _begin(connection, GROUP_IDLE_MS)
            which = {"bridge": self.bridge_id, "started": self._started_ms}
            rows = run(connection, BEGIN_GROUP, which).fetchall()
            if not rows:
                raise BridgeReplacedError(REPLACED)
            [(generation, number)] = rows
            self._check_number(number)
            if self._owns_again:
                names = {"names": sorted(arrived), "bridge": self.bridge_id, "former": []}
                run(connection, TAKE, names)
            has_all = generation == self._generation and self._has(connection, arrived)
            owned = None if has_all else self._owned(connection)
            yield _transaction(connection, refused, owned)
            self._doubtful = (generation, number)
            try:
                self._commit(connection)
            except psycopg.OperationalError:
                raise
            except psycopg.Error:
                self._doubtful = None  # the server said that it did not
                raise
            self._doubtful, self._owns_again = None, False
            self._generation, self._committed = generation, number

    def settle(self) -> bool:
        """Return whether the last group that failed has been committed after all, on its standbys too.

        It waits for what the lost connection may still be doing on the server. Raises StorageError while that cannot be
        found out.
        """
        with self._lock:
            if self._doubtful is None:
                return False
            generation, number = self._doubtful
            with self._explained("question"), self._own_connection() as connection:
                _begin(connection, GROUP_IDLE_MS)
                which = {"bridge": self.bridge_id, "started": self._started_ms}
                rows = run(connection, TOUCH, which).fetchall()
                self._commit(connection)
            self._doubtful = None
            is_committed = bool(rows) and rows[0][0] >= number
            if is_committed:
                self._owns_again = False
                self._generation, self._committed = generation, number
            return is_committed

    def query(self, statement: Statement | str, parameters: Parameters = NOTHING, /) -> list[Row]:
        """Return all rows of a query on what has been committed."""
        with self._explained("query"):
            for is_last in (*repeat(False, self._pool.max_size), True):
                with self._borrowed() as connection:
                    try:
                        return run(connection, statement, parameters).fetchall()
                    except psycopg.OperationalError as error:
                        if is_last or not _was_dead(connection, error):
                            raise
        raise AssertionError

    def listen(
        self, channels: Sequence[str], on_notify: OnNotify, /
    ) -> AbstractContextManager[None]:
        """Call `on_notify` on the event loop for what other bridges announce, as `listening` does; it does not block."""
        return listening(self._address.connect, channels, on_notify)

    @property
    def size_bytes(self) -> int:
        """The size of the database on its disk, as it was found out last; it does not block."""
        if time.monotonic() >= self._size_due:
            self._size_due = time.monotonic() + SIZE_SECONDS
            threading.Thread(target=self._measure, name="database-size", daemon=True).start()
        return self._size_bytes

    def close(self) -> None:
        """Close all connections; nothing may be called after it but `close`, which then does nothing."""
        self._pool.close()
        with self._lock:
            self._disconnect()

    def _check_number(self, number: int) -> None:
        """Raise CommitsForgottenError for a group that does not follow the last one that was committed."""
        if self._committed not in (None, number - 1):
            self._committed, self._owns_again = None, True
            raise CommitsForgottenError(f"the database {self._address} {FORGOTTEN}")

    def _measure(self) -> None:
        with suppress(StorageError), self._size_lock:
            [(self._size_bytes,)] = self.query(DATABASE_SIZE)

    def _has(self, connection: BoundedConnection, names: Collection[str]) -> bool:
        """Return whether all of these are still this bridge's."""
        if not names:
            return True
        which = {"bridge": self.bridge_id, "names": list(names)}
        [[count]] = run(connection, COUNT_OWNED, which).fetchall()
        return bool(count == len(names))

    def _owned(self, connection: BoundedConnection) -> frozenset[str]:
        rows = run(connection, OWNED, {"bridge": self.bridge_id}).fetchall()
        return frozenset(name for [name] in rows)

    def _commit(self, connection: BoundedConnection) -> None:
        """Commit; a COMMIT that only a warning came back for is not on the standbys that it has to be on."""
        connection.warning = ""
        status = connection.execute("COMMIT").statusmessage
        if status != "COMMIT":
            raise psycopg.InternalError("a statement of the transaction had failed")
        if connection.warning:
            raise unreplicated(self._address)

    @contextmanager
    def _own_connection(self) -> Iterator[BoundedConnection]:
        if self._connection is None:
            self._connection = self._address.connect()
        connection = self._connection
        try:
            yield connection
        except BaseException as error:
            if is_stale(error):
                connection.close()
            raise
        finally:
            _end(connection)
            if connection.closed:
                self._connection = None

    @contextmanager
    def _begun(self) -> Iterator[BoundedConnection]:
        for is_last in (*repeat(False, self._pool.max_size), True):
            with self._borrowed() as connection:
                try:
                    _begin(connection, IDLE_MS)
                except psycopg.OperationalError as error:
                    if is_last or not _was_dead(connection, error):
                        raise
                    continue
                yield connection
                return

    @contextmanager
    def _borrowed(self) -> Iterator[BoundedConnection]:
        connection = self._pool.getconn()
        try:
            yield connection
        finally:
            _end(connection)
            self._pool.putconn(connection)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OUR_ERRORS as error:
            if is_stale(error):
                self._pool.drain()
            raise explain(what, error, self._address) from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _begin(connection: BoundedConnection, idle_ms: int) -> None:
    connection.execute(BEGIN.format(idle_ms=idle_ms))


def _transaction(
    connection: BoundedConnection,
    refused: list[RefusedRow] | None,
    owned: frozenset[str] | None = None,
) -> PostgresTransaction:
    if refused is None:
        return PostgresTransaction(connection, owned)
    return RowByRow(connection, refused, owned)


def _was_dead(connection: BoundedConnection, error: psycopg.OperationalError) -> bool:
    """Return whether the server went away before it was asked: it restarted since the connection was used last."""
    return connection.closed and not isinstance(error, UnansweredError)


def _end(connection: BoundedConnection) -> None:
    """Roll back what is still open, and close what cannot be used any more."""
    if connection.is_in_transaction:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
    if not connection.is_idle:
        connection.close()
