"""Statements of a transaction, and how rows that SQLite cannot hold are left out of it."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from bridge.errors import StorageError
from bridge.storage.statements import NOTHING, Statement
from bridge.storage.transaction import Parameters, RefusedRow, RefusedStatement, StatementResult

REFUSALS = (
    OverflowError,
    UnicodeEncodeError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""Errors of sqlite3 for a value that it cannot hold: the same row is refused each time, others are not."""

TABLE = re.compile(r"\b(?:INTO|UPDATE|FROM)\s+(\w+)")

DIALECT = "sqlite"


def compiled(statement: Statement | str, parameters: Parameters) -> tuple[str, Any]:
    """Return text and parameters as sqlite3 takes them; a text comes as it is."""
    if isinstance(statement, str):
        return statement, parameters or ()
    text, values = statement.compiled(DIALECT, parameters)  # type: ignore[arg-type]
    return text, values or ()


class SqliteTransaction:
    """Runs statements on a connection, in its open transaction."""

    dialect = DIALECT
    owned: frozenset[str] | None = None

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Write to `connection`."""
        self._connection = connection

    def owns(self, session_id: str) -> bool:  # noqa: ARG002 -- the same for each
        """Return True: no other bridge has the file."""
        return True

    def execute(
        self, statement: Statement | str, parameters: Parameters = NOTHING, /
    ) -> StatementResult:
        """Run one statement."""
        return self._connection.execute(*compiled(statement, parameters))

    def executemany(self, statement: Statement | str, rows: Sequence[Parameters], /) -> int:
        """Run one statement for each row, and return how many rows it changed."""
        if isinstance(statement, str):
            return self._connection.executemany(statement, rows).rowcount
        if not rows:
            return 0
        text, take = statement.by_position()
        return self._connection.executemany(text, map(take, cast("Any", rows))).rowcount

    def query(
        self, statement: Statement | str, parameters: Parameters = NOTHING, /
    ) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self._connection.execute(*compiled(statement, parameters)).fetchall()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is done inside where an error leaves the block."""
        self._connection.execute("SAVEPOINT inside")
        try:
            yield
        except BaseException:
            with suppress(
                sqlite3.Error
            ):  # where the whole transaction has failed there is none to go back to
                self._connection.execute("ROLLBACK TO inside")
                self._connection.execute("RELEASE inside")
            raise
        self._connection.execute("RELEASE inside")


class RowByRow(SqliteTransaction):
    """A transaction that leaves out rows that the database cannot hold, and lists them."""

    def __init__(self, connection: sqlite3.Connection, refused: list[RefusedRow]) -> None:
        """Write to `connection`, and add to `refused`."""
        super().__init__(connection)
        self._refused = refused

    def execute(
        self, statement: Statement | str, parameters: Parameters = NOTHING, /
    ) -> StatementResult:
        """Run one statement; if its values are refused, it has no effect.

        Raises StorageError for any other failure: then the whole transaction must end.
        """
        text, values = compiled(statement, parameters)
        try:
            return self._connection.execute(text, values)
        except REFUSALS as error:
            table = TABLE.search(text)
            self._refused.append(RefusedRow(table[1] if table else "unknown", repr(error)))
            return RefusedStatement()
        except sqlite3.Error as error:
            raise StorageError(f"the database refused a statement: {error}") from error

    def executemany(self, statement: Statement | str, rows: Sequence[Parameters], /) -> int:
        """Run one statement for each row, and leave out those that are refused; return how many rows it changed."""
        return sum(self.execute(statement, row).rowcount for row in rows)
