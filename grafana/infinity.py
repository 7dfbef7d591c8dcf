"""Queries of the API of the bridges, as the Infinity data source asks them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from grafana.board import data_source
from grafana.links import OF_THE_BOARD

Json = dict[str, Any]

PLUGIN = "yesoreyeram-infinity-datasource"

INFINITY: Json = {"type": PLUGIN, "uid": "${infinity_datasource}"}

DATASOURCE = data_source("infinity_datasource", "Infinity data source", PLUGIN)

TEXT, NUMBER, MILLISECONDS, SECONDS = "string", "number", "timestamp_epoch", "timestamp_epoch_s"
"""What a column holds; the last two are times since 1970."""


class Column(NamedTuple):
    """A field of each row of an answer, and what it is called."""

    selector: str
    """The name of the field, with dots for what lies deeper."""
    title: str
    kind: str = TEXT


def ask(
    path: str,
    rows: str,
    columns: Sequence[Column],
    *,
    ref: str = "A",
    format: str = "table",
    **parameters: str,
) -> Json:
    """Return the query of a path of the API.

    `rows`: where the rows are in its answer, in the words of GJSON, which Grafana's server evaluates.
    """
    return {
        "refId": ref,
        "datasource": INFINITY,
        "type": "json",
        "parser": "backend",
        "source": "url",
        "format": format,
        "url": f"{OF_THE_BOARD}/api/v1/{path}",
        "url_options": {
            "method": "GET",
            "data": "",
            "params": [{"key": key, "value": value} for key, value in parameters.items()],
        },
        "root_selector": rows,
        "columns": [
            {"selector": column.selector, "text": column.title, "type": column.kind}
            for column in columns
        ],
        "filters": [],
    }


def asking(panel: Json, *queries: Json) -> Json:
    """Return a panel that shows the answers to these queries instead of Prometheus'."""
    return panel | {"datasource": INFINITY, "targets": list(queries)}


def annotation(name: str, kinds: str, color: str) -> Json:
    """Return what has happened to the session as lines in the charts; `kinds`: of the API's annotations, with commas."""
    columns = (
        Column("time", "time", MILLISECONDS),
        Column("timeEnd", "timeEnd", MILLISECONDS),
        Column("title", "title"),
        Column("text", "text"),
        Column("kind", "tags"),
    )
    target = ask(
        "annotations",
        "annotations",
        columns,
        format="dataframe",
        session="${session}",
        kind=kinds,
        **{"from": "${__from}", "to": "${__to}"},
    )
    return {
        "name": name,
        "datasource": INFINITY,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "target": target,
    }
