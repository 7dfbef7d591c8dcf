"""Charts of one number over another that is not the time of day, with a line for each session."""

from typing import Any

from grafana.panels import Query, override, timeseries
from grafana.transformations import matrix

Json = dict[str, Any]

LINES: Json = {"lineWidth": 2, "showPoints": "never", "spanNulls": True}
"""Sessions are at other places at the times of the points: a line goes on over what only the others have."""


def by_session(
    title: str, description: str, *, x: str, y: str, x_title: str, x_unit: str, **more: Any
) -> Json:
    """Return a chart of a query over another one; both have one value for each session at a time.

    Prometheus knows no axis but the time: both are asked for as tables, in which Grafana puts together what is of
    the same session and time; then each session becomes a column.
    """
    return chart(
        title,
        description,
        Query(x, is_table=True),
        Query(f"({y}) and on (session_id) ({x})", is_table=True),
        x_title=x_title,
        x_unit=x_unit,
        transformations=(
            {"id": "merge", "options": {}},
            *a_column_for_each("session_id", x="Value #A", y="Value #B", x_title=x_title),
        ),
        **more,
    )


def chart(
    title: str, description: str, *queries: Query, x_title: str, x_unit: str, **more: Any
) -> Json:
    """Return a chart over a column of a table that has one more for each line."""
    custom = LINES | more.pop("custom", {})
    axis = override(x_title, unit=x_unit, custom__axisLabel=x_title)
    overrides = (axis, *more.pop("overrides", ()))
    made = timeseries(title, description, *queries, custom=custom, overrides=overrides, **more)
    return made | {"type": "trend", "options": {**made["options"], "xField": x_title}}


def a_column_for_each(column: str, *, x: str, y: str, x_title: str) -> list[Json]:
    """Return what makes of rows with `x`, `y` and a name in `column` a column of `y` for each name, in the sequence of `x`."""
    corner = f"{x}\\{column}"
    return [
        *matrix(row=x, column=column, value=y),
        {
            "id": "convertFieldType",
            "options": {
                "conversions": [{"targetField": corner, "destinationType": "number"}],
                "fields": {},
            },
        },
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": corner}]}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {},
                "renameByName": {corner: x_title},
            },
        },
    ]
