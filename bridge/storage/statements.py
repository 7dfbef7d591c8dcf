"""Statements of SQLAlchemy, compiled once for each database that they are run on."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Integer, Table, func
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.functions import ReturnTypeFromArgs

NOTHING: Mapping[str, object] = MappingProxyType({})

SQLITE: Dialect = sqlite.dialect(paramstyle="named")

BY_POSITION = sqlite.dialect(paramstyle="qmark")
"""Takes a row as a sequence: sqlite3 looks up names more slowly than all the rest that a row costs."""

RowOf = Callable[[Mapping[str, object]], Sequence[object]]


@cache
def dialect_of(name: str) -> Dialect:
    """Return what SQLAlchemy compiles with for a database, "sqlite" or "postgresql"."""
    if name == "sqlite":
        return SQLITE
    # Bridges with a folder need not wait for what SQLAlchemy knows of PostgreSQL.
    from sqlalchemy.dialects.postgresql import psycopg  # noqa: PLC0415

    return psycopg.dialect()  # type: ignore[no-untyped-call]


class Statement:
    """One statement; made once, and run with other parameters each time."""

    def __init__(self, clause: ClauseElement, *, any_sequence: bool = False) -> None:
        """Take what SQLAlchemy built; its bound parameters are named.

        With `any_sequence` a call for many rows may take them in any: nobody else changes these rows at the same time.
        """
        self.clause = clause
        self.any_sequence = any_sequence
        self._compiled: dict[str, tuple[str, Mapping[str, object]]] = {}
        self._by_position: tuple[str, RowOf] | None = None

    def compiled(
        self, dialect: str, parameters: Mapping[str, object]
    ) -> tuple[str, Mapping[str, object]]:
        """Return the text for a dialect, "sqlite" or "postgresql", and all its parameters: its own constants, too."""
        text, constants = self._compiled.get(dialect) or self._compile(dialect)
        return text, ({**constants, **parameters} if constants else parameters)

    def by_position(self) -> tuple[str, RowOf]:
        """Return the text for many rows in SQLite, and what makes of a row's parameters those that it takes."""
        if self._by_position is None:
            compiled: Any = self.clause.compile(dialect=BY_POSITION)
            constants = {
                name: value for name, value in compiled.params.items() if value is not None
            }
            take = _taking(compiled.positiontup)
            self._by_position = (
                str(compiled),
                (lambda row: take({**constants, **row})) if constants else take,
            )
        return self._by_position

    @property
    def table(self) -> str:
        """The table that it writes to; "" for a query."""
        return getattr(getattr(self.clause, "table", None), "name", "")

    def _compile(self, dialect: str) -> tuple[str, Mapping[str, object]]:
        compiled: Any = self.clause.compile(dialect=dialect_of(dialect))
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._compiled[dialect] = (str(compiled), constants)
        return self._compiled[dialect]


def _taking(names: Sequence[str]) -> RowOf:
    """Return what takes the values of these names out of a row."""
    return itemgetter(*names) if len(names) > 1 else lambda row: [row[name] for name in names]


def inserted(table: Table) -> Insert:
    """Return an INSERT that both databases take, to which ON CONFLICT may be added."""
    return insert(table)


def upsert(table: Table, *, changes: Sequence[str] | None = None) -> Statement:
    """Return a statement that inserts a row, or replaces what a row of the same key has in `changes`.

    By default these are all columns outside of the key that the row comes with, so name the columns of `table` that
    are left to their defaults by not being among them.
    """
    keys = [column.name for column in table.primary_key]
    names = changes if changes is not None else [c.name for c in table.c if c.name not in keys]
    statement = inserted(table)
    return Statement(
        statement.on_conflict_do_update(
            index_elements=keys, set_={name: statement.excluded[name] for name in names}
        )
    )


class larger(ReturnTypeFromArgs[Any]):  # noqa: N801 -- functions of SQLAlchemy are classes
    """The larger of two values."""

    inherit_cache = True


@compiles(larger, "sqlite")
def _larger_in_sqlite(element: larger, compiler: Any, **options: Any) -> str:
    return compiler.process(func.max(*element.clauses), **options)  # type: ignore[no-any-return]


@compiles(larger)
def _larger(element: larger, compiler: Any, **options: Any) -> str:
    return compiler.process(func.greatest(*element.clauses), **options)  # type: ignore[no-any-return]


def truth(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Return 1 where a condition holds, else 0: SQLite has no other truth values."""
    return func.coalesce(condition.cast(Integer), 0)


@compiles(OnConflictDoNothing, "postgresql")
def _do_nothing(clause: Any, compiler: Any, **options: Any) -> str:
    return compiler.visit_on_conflict_do_nothing(_of_postgresql(clause), **options)  # type: ignore[no-any-return]


@compiles(OnConflictDoUpdate, "postgresql")
def _do_update(clause: Any, compiler: Any, **options: Any) -> str:
    return compiler.visit_on_conflict_do_update(_of_postgresql(clause), **options)  # type: ignore[no-any-return]


def _of_postgresql(clause: Any) -> Any:
    """Return an ON CONFLICT that says what only PostgreSQL can be given: no constraint by its name."""
    clause.constraint_target = None
    return clause
