"""What Grafana does with the answers to queries before a panel shows them."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def joined(field: str, columns: Mapping[str, str]) -> list[Json]:
    """Return what makes one table of several by a field they share.

    `columns`: the titles of the fields that stay, from left to right.
    """
    return [
        {"id": "joinByField", "options": {"byField": field, "mode": "outer"}},
        *chosen_columns(columns),
    ]


def chosen_columns(columns: Mapping[str, str]) -> list[Json]:
    """Return what leaves these fields of a table alone, from left to right under these titles."""
    return [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {name: place for place, name in enumerate(columns)},
                "renameByName": dict(columns),
            },
        },
    ]


def matrix(*, row: str, column: str, value: str, empty: str = "null") -> list[Json]:
    r"""Return what makes a matrix of a table: a row for each value of one field, a column for each of another.

    Its first column is called `row\column`. `empty`: what stands where the table has nothing: null, empty, zero.
    """
    options = {"rowField": row, "columnField": column, "valueField": value, "emptyValue": empty}
    return [{"id": "groupingToMatrix", "options": options}]
