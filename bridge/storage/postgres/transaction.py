"""Statements of a transaction, and how rows that PostgreSQL cannot hold are left out of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

import psycopg

from bridge.errors import StorageError
from bridge.storage.postgres.connecting import BoundedConnection
from bridge.storage.postgres.failures import is_refusal
from bridge.storage.postgres.many_rows import many_rows
from bridge.storage.statements import NOTHING, Statement
from bridge.storage.transaction import Parameters, RefusedRow, RefusedStatement, StatementResult

DIALECT = "postgresql"


def compiled(statement: Statement | str, parameters: Parameters) -> tuple[Any, Any]:
    """Return text and parameters as psycopg takes them; a text comes as it is."""
    if isinstance(statement, str):
        return statement, parameters or None
    return statement.compiled(DIALECT, cast("Any", parameters))


def run(
    connection: BoundedConnection, statement: Statement | str, parameters: Parameters = NOTHING
) -> psycopg.Cursor[tuple[Any, ...]]:
    """Run one statement, and return its cursor."""
    cursor = connection.cursor(binary=True)
    return cursor.execute(*compiled(statement, parameters))


def _runs(statement: Statement | str, rows: Sequence[Parameters]) -> list[tuple[Any, Any]] | None:
    """Return texts and parameters that write many rows at once; None: there are none."""
    if isinstance(statement, str) or len(rows) < 2:
        return None
    many = many_rows(statement)
    runs = many.parameters(cast("Any", rows)) if many else None
    return None if many is None or runs is None else [compiled(many.statement, run) for run in runs]


class PostgresTransaction:
    """Runs statements on a connection, in its open transaction."""

    dialect = DIALECT

    def __init__(self, connection: BoundedConnection, owned: frozenset[str] | None = None) -> None:
        """Write to `connection`, of the sessions `owned`; None: of all."""
        self._connection = connection
        self.owned = owned

    def owns(self, session_id: str) -> bool:
        """Return whether this bridge may write a session."""
        return self.owned is None or session_id in self.owned

    def execute(
        self, statement: Statement | str, parameters: Parameters = NOTHING, /
    ) -> StatementResult:
        """Run one statement."""
        return run(self._connection, statement, parameters)

    def executemany(self, statement: Statement | str, rows: Sequence[Parameters], /) -> int:
        """Write many rows by few statements where that comes to the same, else without waiting for the answer to each.

        Returns how many rows that changed.
        """
        runs = _runs(statement, rows)
        if runs is not None:
            return sum(self._connection.execute(*run).rowcount for run in runs)
        if not rows:
            return 0
        text, _ = compiled(statement, rows[0])
        every = [compiled(statement, row)[1] for row in rows]
        cursor = self._connection.cursor()
        cursor.executemany(text, every)
        return cursor.rowcount

    def query(
        self, statement: Statement | str, parameters: Parameters = NOTHING, /
    ) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return run(self._connection, statement, parameters).fetchall()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is done inside where an error leaves the block.

        Where the database has failed that is StorageError: whoever reads files must not take it for damage of theirs.
        """
        self._connection.execute("SAVEPOINT inside")
        try:
            yield
        except BaseException as error:
            if isinstance(error, psycopg.Error) and not is_refusal(error):
                raise StorageError(f"the database refused a statement: {error}") from error
            with suppress(
                psycopg.Error
            ):  # where the whole transaction has failed there is none to go back to
                self._connection.execute("ROLLBACK TO SAVEPOINT inside")
                self._connection.execute("RELEASE SAVEPOINT inside")
            raise
        self._connection.execute("RELEASE SAVEPOINT inside")


class RowByRow(PostgresTransaction):
    """A transaction that leaves out rows that the database cannot hold, and lists them."""

    def __init__(
        self,
        connection: BoundedConnection,
        refused: list[RefusedRow],
        owned: frozenset[str] | None = None,
    ) -> None:
        """Write to `connection`, and add to `refused`."""
        super().__init__(connection, owned)
        self._refused = refused

    def execute(
        self, statement: Statement | str, parameters: Parameters = NOTHING, /
    ) -> StatementResult:
        """Run one statement; if its values are refused, it has no effect."""
        self._connection.execute("SAVEPOINT row")
        try:
            result = super().execute(statement, parameters)
        except Exception as error:
            if not is_refusal(error):
                raise
            self._connection.execute("ROLLBACK TO SAVEPOINT row")
            table = "" if isinstance(statement, str) else statement.table
            self._refused.append(RefusedRow(table or "unknown", repr(error)))
            return RefusedStatement()
        self._connection.execute("RELEASE SAVEPOINT row")
        return result

    def executemany(self, statement: Statement | str, rows: Sequence[Parameters], /) -> int:
        """Run one statement for each row, and leave out those that are refused; return how many rows it changed."""
        return sum(self.execute(statement, row).rowcount for row in rows)
