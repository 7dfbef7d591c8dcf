"""What is done inside a transaction, statement by statement."""

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
"""What sqlite3 raises for a value that it cannot hold: the same row is refused again, the others are not."""

TABLE = re.compile(r"\b(?:INTO|UPDATE|FROM)\s+(\w+)")


class Outcome(Protocol):
    """What a statement did."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""


class Transaction(Protocol):
    """What may be done inside a transaction."""

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Outcome:
        """Run one statement."""

    def executemany(self, sql: str, rows: Sequence[Sequence[object]], /) -> object:
        """Run one statement for each row."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that the database cannot hold."""

    table: str
    error: str


@dataclass(frozen=True, slots=True)
class NothingDone:
    """The outcome of a statement that was refused."""

    rowcount: int = 0


class RowByRow:
    """A transaction that leaves out what the database cannot hold, and keeps a list of it."""

    def __init__(self, connection: sqlite3.Connection, refused: list[RefusedRow]) -> None:
        """Write to `connection`, and add to `refused`."""
        self._connection = connection
        self._refused = refused

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Outcome:
        """Run one statement; where its values are refused it does nothing.

        Raises StorageError where it is the disk that refuses: then the whole transaction must end.
        """
        try:
            return self._connection.execute(sql, parameters)
        except REFUSALS as error:
            table = TABLE.search(sql)
            self._refused.append(RefusedRow(table[1] if table else "unknown", repr(error)))
            return NothingDone()
        except sqlite3.Error as error:
            raise StorageError(f"the database refused a statement: {error}") from error

    def executemany(self, sql: str, rows: Sequence[Sequence[object]], /) -> object:
        """Run one statement for each row, and leave out those that are refused."""
        for row in rows:
            self.execute(sql, row)
        return None
