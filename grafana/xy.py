"""Charts of one number over another that is not the time of day, with a line for each session."""

from typing import Any

from grafana.panels import Query, override, timeseries
from grafana.transformations import matrix

Json = dict[str, Any]

ACROSS = "Value #A\\session_id"
"""What Grafana calls the column of the first query once each session has a column."""

LINES: Json = {"lineWidth": 2, "showPoints": "never", "spanNulls": True}
"""Sessions are at other places at the times of the points: a line goes on over what only the others have."""


def by_session(
    title: str, description: str, *, x: str, y: str, x_title: str, x_unit: str, **more: Any
) -> Json:
    """Return a chart of a query over another one; both have one value for each session at a time.

    Prometheus knows no axis but the time: both are asked for as tables, in which Grafana puts together what is of
    the same session and time; then each session becomes a column.
    """
    custom = LINES | more.pop("custom", {})
    overrides = (
        override(x_title, unit=x_unit, custom__axisLabel=x_title),
        *more.pop("overrides", ()),
    )
    made = timeseries(
        title,
        description,
        Query(x, is_table=True),
        Query(f"({y}) and on (session_id) ({x})", is_table=True),
        custom=custom,
        overrides=overrides,
        transformations=(
            {"id": "merge", "options": {}},
            *matrix(row="Value #A", column="session_id", value="Value #B"),
            _convert(ACROSS, "number"),
            {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": ACROSS}]}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {},
                    "indexByName": {},
                    "renameByName": {ACROSS: x_title},
                },
            },
        ),
        **more,
    )
    return made | {"type": "trend", "options": {**made["options"], "xField": x_title}}


def _convert(field: str, kind: str) -> Json:
    conversions = [{"targetField": field, "destinationType": kind}]
    return {"id": "convertFieldType", "options": {"conversions": conversions, "fields": {}}}
