"""What may be done inside of a transaction."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from bridge.storage.statements import NOTHING, Statement

Parameters = Mapping[str, object] | Sequence[object]
"""By name; those of a text, which tests run, by place too."""


class StatementResult(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""


class Transaction(Protocol):
    """An open transaction."""

    @property
    def dialect(self) -> str:
        """Which statements it takes."""

    @property
    def owned(self) -> frozenset[str] | None:
        """The sessions that this bridge still has, where another one has taken some; None: it has all it had."""

    def owns(self, session_id: str) -> bool:
        """Return whether this bridge may write a session."""

    def execute(self, statement: Statement, parameters: Parameters = NOTHING, /) -> StatementResult:
        """Run one statement."""

    def executemany(self, statement: Statement, rows: Sequence[Parameters], /) -> int:
        """Run one statement for each row, and return how many rows it changed."""

    def query(
        self, statement: Statement, parameters: Parameters = NOTHING, /
    ) -> list[tuple[Any, ...]]:
        """Return all rows of a query, which sees what this transaction has written."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what is done inside where an error leaves the block; the transaction goes on with what was before."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that the database cannot hold."""

    table: str
    error: str


@dataclass(frozen=True, slots=True)
class RefusedStatement:
    """The result of a statement that was refused."""

    rowcount: int = 0
