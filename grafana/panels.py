"""Panels, as Grafana's JSON has them: each with a title, a description, a unit and its queries."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from grafana.promql import CHOSEN_SESSIONS, chosen

Json = dict[str, Any]

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}

TEXT = ((None, "text"),)
"""Thresholds that colour nothing."""

BRIDGED_GAP_MS = 60_000
"""A line bridges missing points for so long."""

SCALES: Json = {
    "linear": {"type": "linear"},
    "log": {"type": "log", "log": 10},
    "symlog": {"type": "symlog", "log": 10, "linearThreshold": 0.001},
}
"""Logarithmic axes: what is not positive is missing from the first, and has its own side on the second, as losses need."""

PER_SECOND = "suffix:/s"
"""The unit of a rate."""

Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; None is everything below."""


class Query(NamedTuple):
    """A query of a panel, written plainly; `promql.chosen` narrows it."""

    expr: str
    legend: str = "__auto"
    ref: str = ""
    """A letter; else by its place."""
    is_instant: bool = False
    is_table: bool = False
    is_heatmap: bool = False
    has_exemplars: bool = False
    """Only the first target that has them shows them."""
    session: str = CHOSEN_SESSIONS
    """The matchers of series about a session."""


def target(query: Query, place: int = 0) -> Json:
    """Return a query as the target of a panel."""
    made: Json = {
        "refId": query.ref or chr(ord("A") + place),
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": chosen(query.expr, session=query.session),
        "legendFormat": query.legend,
        "range": not query.is_instant,
        "instant": query.is_instant,
    }
    if query.is_table or query.is_heatmap:
        made["format"] = "table" if query.is_table else "heatmap"
    if query.has_exemplars:
        made["exemplar"] = True
    return made


def panel(  # noqa: PLR0913 -- what every panel has, all but the first three by name
    kind: str,
    title: str,
    description: str,
    *queries: Query | str,
    width: int,
    height: int = 8,
    unit: str = "none",
    color: str = "palette-classic",
    steps: Steps = TEXT,
    defaults: Json | None = None,
    overrides: Sequence[Json] = (),
    options: Json | None = None,
    transformations: Sequence[Json] = (),
) -> Json:
    """Return a panel without its place, which `board.laid_out` gives it; `defaults`: more of what all fields have."""
    asked = [query if isinstance(query, Query) else Query(query) for query in queries]
    made: Json = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": PROMETHEUS,
        "gridPos": {"w": width, "h": height},
        "targets": [target(query, place) for place, query in enumerate(asked)],
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "color": {"mode": color},
                "thresholds": thresholds(steps),
                "mappings": [],
                **(defaults or {}),
            },
            "overrides": list(overrides),
        },
        "options": options or {},
    }
    if transformations:
        made["transformations"] = list(transformations)
    return made


def thresholds(steps: Steps) -> Json:
    """Return thresholds by value."""
    return {
        "mode": "absolute",
        "steps": [{"color": color, "value": value} for value, color in steps],
    }


def override(field: str, by: str = "byName", **properties: Any) -> Json:
    """Return what one field has of its own; a `__` in the name of a property stands for a dot."""
    listed = [{"id": name.replace("__", "."), "value": value} for name, value in properties.items()]
    return {"matcher": {"id": by, "options": field}, "properties": listed}


def has_links(override: Json) -> bool:
    """Return whether an override gives a field links of its own."""
    return any(given["id"] == "links" for given in override["properties"])


def stat(title: str, description: str, *queries: Query | str, **more: Any) -> Json:
    """Return a panel of one large number; `sparkline`: whether its course is drawn behind it, `links`: where it leads."""
    given: Json = {"width": 3, "height": 4, "color": "thresholds"} | more
    if links := given.pop("links", ()):
        given["defaults"] = {"links": list(links)} | given.get("defaults", {})
    sparkline = given.pop("sparkline", False)
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area" if sparkline else "none",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
        "wideLayout": True,
    } | given.pop("options", {})
    return panel("stat", title, description, *queries, options=options, **given)


def timeseries(title: str, description: str, *queries: Query | str, **more: Any) -> Json:
    """Return a chart over time; `scale`: of its axis, by its name in SCALES, `links`: where a point leads.

    `repeat`: the variable for each of whose values there is one.
    """
    given: Json = {"width": 8} | more
    scale = SCALES[given.pop("scale", "linear")]
    links, repeat = given.pop("links", ()), given.pop("repeat", "")
    is_clicked = bool(links) or any(map(has_links, given.get("overrides", ())))
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 0,
        "gradientMode": "none",
        "showPoints": "auto",
        "pointSize": 5,
        "spanNulls": BRIDGED_GAP_MS,
        "axisPlacement": "auto",
        "axisBorderShow": False,
        "scaleDistribution": scale,
        "stacking": {"mode": "none", "group": "A"},
        "thresholdsStyle": {"mode": "off"},
    } | given.pop("custom", {})
    defaults: Json = {"custom": custom} | given.pop("defaults", {})
    if links:
        defaults["links"] = list(links)
    options: Json = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        # A tooltip of several series cannot be clicked in one place.
        "tooltip": {
            "mode": "single" if is_clicked else "multi",
            "sort": "none" if is_clicked else "desc",
        },
    } | given.pop("options", {})
    made = panel(
        "timeseries", title, description, *queries, defaults=defaults, options=options, **given
    )
    return made | {"repeat": repeat, "repeatDirection": "h", "maxPerRow": 3} if repeat else made


def state_timeline(title: str, description: str, *queries: Query | str, **more: Any) -> Json:
    """Return a band for each series, coloured by its value over time; `mappings`: what the values are called."""
    given: Json = {"width": 24, "color": "thresholds"} | more
    defaults: Json = {
        "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": BRIDGED_GAP_MS},
        "mappings": given.pop("mappings", []),
    } | given.pop("defaults", {})
    options: Json = {
        "showValue": "never",
        "mergeValues": True,
        "rowHeight": 0.8,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    } | given.pop("options", {})
    return panel(
        "state-timeline", title, description, *queries, defaults=defaults, options=options, **given
    )


def named_values(*names: tuple[float, str, str]) -> list[Json]:
    """Return mappings of values to a text and a colour."""
    return [
        {
            "type": "value",
            "options": {
                f"{value:g}": {"text": text, "color": color, "index": place}
                for place, (value, text, color) in enumerate(names)
            },
        }
    ]


def table(title: str, description: str, *queries: Query | str, **more: Any) -> Json:
    """Return a table; its queries are instant, and of the format of tables."""
    given: Json = {"width": 24, "color": "thresholds"} | more
    asked = [query if isinstance(query, Query) else Query(query) for query in queries]
    custom: Json = {
        "align": "auto",
        "cellOptions": {"type": "auto"},
        "inspect": False,
        "filterable": False,
    }
    defaults: Json = {"custom": custom | given.pop("custom", {})} | given.pop("defaults", {})
    options: Json = {
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""},
    } | given.pop("options", {})
    instant = [query._replace(is_instant=True, is_table=True) for query in asked]
    return panel("table", title, description, *instant, defaults=defaults, options=options, **given)


def heatmap(title: str, description: str, query: Query, **more: Any) -> Json:
    """Return how often values fell into each bucket over time; `unit`: of the buckets' bounds."""
    given: Json = {"width": 12} | more
    unit = given.pop("unit", "none")
    asked = query._replace(legend="{{le}}", is_heatmap=True)
    options: Json = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "fill": "dark-orange",
            "exponent": 0.5,
            "reverse": False,
            "steps": 64,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": False},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    } | given.pop("options", {})
    return panel("heatmap", title, description, asked, options=options, **given)


def bar_gauge(title: str, description: str, *queries: Query, **more: Any) -> Json:
    """Return horizontal bars, one a series."""
    given: Json = {"width": 8} | more
    defaults: Json = {"min": 0} | given.pop("defaults", {})
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
    } | given.pop("options", {})
    return panel(
        "bargauge", title, description, *queries, defaults=defaults, options=options, **given
    )


def text(title: str, description: str, html: str, *, width: int, height: int) -> Json:
    """Return a panel of HTML, which Grafana sanitises: no scripts, no styles beside the attribute."""
    return {
        "type": "text",
        "title": title,
        "description": description,
        "gridPos": {"w": width, "h": height},
        "options": {"mode": "html", "content": html},
    }


def row(title: str, *, panels: Sequence[Json] = ()) -> Json:
    """Return the heading of the panels that follow it; with `panels`, of those, which it hides until it is opened."""
    return {
        "type": "row",
        "title": title,
        "collapsed": bool(panels),
        "gridPos": {"w": 24, "h": 1},
        "panels": list(panels),
    }
