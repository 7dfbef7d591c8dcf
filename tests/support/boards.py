"""The boards as they are written: their panels, queries and links, and what Grafana puts in the place of variables."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import promql_parser

from grafana.build import DASHBOARDS, files

Json = dict[str, Any]

BOARDS: Mapping[str, Json] = {
    PurePath(path).stem: json.loads(text)
    for path, text in files().items()
    if path.startswith(f"{DASHBOARDS}/") and path.endswith(".json")
}
"""Every board by the name of its file, the optional ones included."""

VARIABLE = re.compile(r"\$\{(?P<braced>\w+)(?::(?P<format>\w+))?\}|\$(?P<bare>[A-Za-z_]\w*)")

DURATIONS = {
    "__rate_interval": "4241s",
    "__interval": "4242s",
    "__range": "4243s",
    "__range_s": "4243",
    "__interval_ms": "4242000",
    "__from": "1700000000000",
    "__to": "1700004243000",
}
"""What a query is parsed with: each of a length that nothing else has."""

OF_VARIABLES = re.compile(
    r"(?:label_values|query_result)\((?P<query>.*?)(?:,\s*(?P<label>\w+)\s*)?\)", re.DOTALL
)
"""How Grafana's variables ask Prometheus; a query in the first group, unless a label stands alone."""


class Asked(NamedTuple):
    """One query and where it stands."""

    board: str
    panel: str
    ref: str
    expr: str
    target: Json

    def __str__(self) -> str:
        """Return where it stands."""
        return f"{self.board}: {self.panel} {self.ref}"


def panels(board: Json) -> Iterator[Json]:
    """Yield the panels of a board, those in rows that are closed included."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def queries(name: str) -> Iterator[Asked]:
    """Yield the PromQL of the panels of a board."""
    for panel in panels(BOARDS[name]):
        for target in panel.get("targets", ()):
            if "expr" in target:
                yield Asked(name, panel["title"], target["refId"], target["expr"], target)


def annotations(name: str) -> Iterator[Asked]:
    """Yield the PromQL of the annotations of a board."""
    for annotation in BOARDS[name]["annotations"]["list"]:
        target = annotation.get("target") or {}
        if "expr" in target or "expr" in annotation:
            expr = target.get("expr", annotation.get("expr"))
            yield Asked(name, annotation["name"], "annotation", expr, annotation)


def variables(name: str) -> Iterator[Asked]:
    """Yield the PromQL of the variables of a board."""
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] != "query" or not is_of_prometheus(variable):
            continue
        found = OF_VARIABLES.fullmatch(variable["query"]["query"])
        assert found, f"{name}: Grafana cannot ask {variable['query']['query']!r}"
        yield Asked(name, variable["name"], "variable", found["query"], variable)


def is_of_prometheus(asking: Json) -> bool:
    """Return whether a panel, target or variable asks Prometheus."""
    return asking.get("datasource", {}).get("type") == "prometheus"


def all_queries(name: str) -> list[Asked]:
    """Return the PromQL of panels, annotations and variables of a board."""
    return [*queries(name), *annotations(name), *variables(name)]


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the variables that have a value filled in, as Grafana does; others stay, `$1` among them."""

    def value(match: re.Match[str]) -> str:
        return values.get(match["braced"] or match["bare"], match[0])

    return VARIABLE.sub(value, text)


def parsed(expr: str) -> Any:
    """Return the syntax tree of a query; raises ValueError for what is not PromQL."""
    return promql_parser.parse(filled(expr, DURATIONS))


def nodes(expr: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield every node of a syntax tree with those that it stands in."""
    yield expr, above
    below = [
        getattr(expr, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")
    ]
    for node in (*below, *getattr(expr, "args", ())):
        if isinstance(node, promql_parser.Expr):
            yield from nodes(node, (*above, expr))


def selectors(expr: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield every selector of a syntax tree with the nodes that it stands in."""
    for node, above in nodes(expr):
        if isinstance(node, promql_parser.VectorSelector):
            yield node, above


def links(board: Json) -> Iterator[tuple[Json, Json]]:
    """Yield each data link of a board with its panel."""
    for panel in panels(board):
        configured = panel.get("fieldConfig", {})
        for link in configured.get("defaults", {}).get("links", ()):
            yield panel, link
        for override in configured.get("overrides", ()):
            for item in override["properties"]:
                if item["id"] == "links":
                    for link in item["value"]:
                        yield panel, link


def texts(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield every piece of HTML of a board: where it stands, in which kind of place, and what it is."""
    for panel in panels(BOARDS[name]):
        if panel["type"] == "text":
            yield f"{name}: {panel['title']}", "panel", panel["options"]["content"]
    for annotation in BOARDS[name]["annotations"]["list"]:
        for key in ("titleFormat", "textFormat"):
            if annotation.get(key):
                yield f"{name}: {annotation['name']} {key}", "annotation", annotation[key]
