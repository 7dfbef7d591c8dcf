"""One statement for many rows, in place of a statement for one row that is run for each."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Double,
    LargeBinary,
    TableValuedAlias,
    Text,
    bindparam,
    column,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.sqlite.dml import OnConflictDoUpdate
from sqlalchemy.sql import visitors
from sqlalchemy.sql.dml import Delete, Insert
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.types import TypeEngine

from bridge.storage.statements import Statement, inserted

ROWS_AT_ONCE = 2_000
"""So that a statement takes far less time than it has."""

REMEMBERED = 64
"""More than the statements of the bridge that are run for many rows."""

Rows = Sequence[Mapping[str, object]]
Types = Mapping[str, TypeEngine[Any]]
Values = Sequence[Any]


class ManyRows:
    """An INSERT or DELETE that takes an array for each of its parameters."""

    def __init__(self, statement: Statement, types: Types, keys: Sequence[str] = ()) -> None:
        """Run `statement`, whose arrays have values of these types, for rows that differ in their `keys`, if any."""
        self.statement = statement
        self._types = {name: _KINDS[_kind(type_)] for name, type_ in types.items()}
        self._keys = keys

    def parameters(self, rows: Rows) -> list[dict[str, object]] | None:
        """Return the parameters for one run after the other; None: the rows have to be written one by one.

        So they have where one replaces another, and where a value is not of its column's type: it may fit nevertheless.
        """
        parts = [rows[n : n + ROWS_AT_ONCE] for n in range(0, len(rows), ROWS_AT_ONCE)]
        runs = [self._arrays(part) for part in parts]
        complete = [run for run in runs if run is not None]
        if len(complete) < len(runs):
            return None
        if self._keys and len({tuple(row[key] for key in self._keys) for row in rows}) < len(rows):
            return None
        return complete

    def _arrays(self, rows: Rows) -> dict[str, object] | None:
        arrays: dict[str, object] = {}
        for name, (accepted, element) in self._types.items():
            values = [row.get(name) for row in rows]
            if not accepted(values):
                return None
            arrays[name] = f"{{{','.join(map(element, values))}}}"
        return arrays


@lru_cache(maxsize=REMEMBERED)
def many_rows(statement: Statement) -> ManyRows | None:
    """Return what a statement is run as for many rows; None: there is nothing but to run it for each.

    A DELETE takes its rows in any sequence, so only one that is declared to have none.
    """
    clause = statement.clause
    if isinstance(clause, Insert):
        return _insert(clause)
    if isinstance(clause, Delete) and statement.any_sequence:
        return _delete(clause)
    return None


def _insert(clause: Any) -> ManyRows | None:
    """Return the INSERT with its rows out of arrays, and its ON CONFLICT as it is."""
    columns, values = clause.table.c, clause._values
    names = [name if isinstance(name, str) else name.name for name in values or columns.keys()]
    is_plain = not values or all(
        isinstance(value, BindParameter) and value.key == name
        for name, value in zip(names, values.values(), strict=True)
    )
    conflict = clause._post_values_clause
    keys: Sequence[Any] | None = ()
    if isinstance(conflict, OnConflictDoUpdate):
        keys = conflict.inferred_target_elements
    if clause._returning or not is_plain or keys is None:
        return None
    types = {name: columns[name].type for name in names}
    if not _are_known(types):
        return None
    rows = _rows(types)
    statement: Any = inserted(clause.table).from_select(
        names, select(*(rows.c[name] for name in names)), include_defaults=False
    )
    statement._post_values_clause = conflict
    key_names = [key if isinstance(key, str) else key.name for key in keys]
    return ManyRows(Statement(statement), types, key_names)


def _delete(clause: Delete) -> ManyRows | None:
    """Return the DELETE with the columns of its rows where it has parameters."""
    parameters: dict[str, TypeEngine[Any]] = {}
    others: list[object] = []

    def find(element: Any) -> None:
        parameters[element.key] = element.type

    visitors.traverse(clause, {}, {"bindparam": find, "select": others.append})
    if others or not _are_known(parameters):
        return None
    rows = _rows(parameters)

    def replaced(element: Any, **_options: object) -> Any:
        return rows.c[element.key] if isinstance(element, BindParameter) else None

    statement: Any = visitors.replacement_traverse(clause, {}, replaced)
    return ManyRows(Statement(statement), parameters)


def _rows(types: Types) -> TableValuedAlias:
    arrays = (bindparam(name, type_=ARRAY(type_)) for name, type_ in types.items())
    columns = (column(name, type_) for name, type_ in types.items())
    return func.unnest(*arrays).table_valued(*columns).render_derived(name="given")


def _are_known(types: Types) -> bool:
    return bool(types) and all(_kind(type_) is not None for type_ in types.values())


def _kind(type_: TypeEngine[Any]) -> type[TypeEngine[Any]] | None:
    return next((kind for kind in _KINDS if isinstance(type_, kind)), None)


def _of(kind: type) -> Callable[[Values], bool]:
    """Return whether values are all exactly of a type, or missing."""
    allowed = {kind, type(None)}
    return lambda values: allowed.issuperset(map(type, values))


def _are_whole_numbers(values: Values) -> bool:
    """Return whether the database can hold these numbers, or they are missing."""
    if not {int, type(None)}.issuperset(map(type, values)):
        return False
    numbers = [value for value in values if value is not None]
    return not numbers or (min(numbers) >= -(2**63) and max(numbers) < 2**63)


def _number(value: object) -> str:
    return "NULL" if value is None else repr(value)


def _text(value: str | None) -> str:
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _bytes(value: bytes | None) -> str:
    return "NULL" if value is None else f'"\\\\x{value.hex()}"'


_KINDS: dict[Any, tuple[Callable[[Values], bool], Callable[[Any], str]]] = {
    BigInteger: (_are_whole_numbers, _number),
    Double: (_of(float), _number),
    Text: (_of(str), _text),
    LargeBinary: (_of(bytes), _bytes),
}
"""Which values a column takes, and how one is written in an array; see "Array Input and Output Syntax" in the manual."""
