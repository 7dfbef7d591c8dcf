"""Statements of a transaction, and how rows that the database cannot hold are left out of it."""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.errors import StorageError

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


class StatementResult(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""


class Transaction(Protocol):
    """An open transaction."""

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> StatementResult:
        """Run one statement."""

    def executemany(self, sql: str, rows: Sequence[Sequence[object]], /) -> object:
        """Run one statement for each row."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that the database cannot hold."""

    table: str
    error: str


@dataclass(frozen=True, slots=True)
class RefusedStatement:
    """The result of a statement that was refused."""

    rowcount: int = 0


class RowByRow:
    """A transaction that leaves out rows that the database cannot hold, and lists them."""

    def __init__(self, connection: sqlite3.Connection, refused: list[RefusedRow]) -> None:
        """Write to `connection`, and add to `refused`."""
        self._connection = connection
        self._refused = refused

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> StatementResult:
        """Run one statement; if its values are refused, it has no effect.

        Raises StorageError for any other failure: then the whole transaction must end.
        """
        try:
            return self._connection.execute(sql, parameters)
        except REFUSALS as error:
            table = TABLE.search(sql)
            self._refused.append(RefusedRow(table[1] if table else "unknown", repr(error)))
            return RefusedStatement()
        except sqlite3.Error as error:
            raise StorageError(f"the database refused a statement: {error}") from error

    def executemany(self, sql: str, rows: Sequence[Sequence[object]], /) -> object:
        """Run one statement for each row, and leave out those that are refused."""
        for row in rows:
            self.execute(sql, row)
        return None
