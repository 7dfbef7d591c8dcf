"""A board: its variables, its links, and its panels in their places."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from grafana.links import OF_THE_BOARD
from grafana.panels import PROMETHEUS
from grafana.promql import CHOSEN_BRIDGES, chosen, latest

Json = dict[str, Any]

COLUMNS = 24

SCHEMA_VERSION = 41
"""Of Grafana 11.6: newer ones migrate it when they load it, older ones cannot read a newer one."""

ONE_OF_SEVERAL = ('session_id=~"$session"', 'session_id="$session"')
"""How a selector is narrowed on boards of several sessions, and on those of one."""


def board(  # noqa: PLR0913 -- what every board has, by name
    *,
    uid: str,
    title: str,
    description: str,
    panels: Sequence[Json],
    variables: Sequence[Json],
    annotations: Sequence[Json] = (),
    links: Sequence[Json] = (),
    refresh: str = "30s",
    since: str = "now-6h",
) -> Json:
    """Return a board with its panels laid out from left to right; `since`: the start of the time it shows."""
    made: Json = {
        "uid": uid,
        "title": f"Training / {title}",
        "description": description,
        "tags": ["trainbridge"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": refresh,
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "liveNow": False,
        "links": [_TO_THE_OTHERS, *links],
        "annotations": {"list": list(annotations)},
        "templating": {"list": [DATASOURCE, JOB, INSTANCE, *variables]},
        "panels": list(laid_out(panels)),
    }
    return _naming_it(made) if SESSION in variables else made


def _naming_it(made: Json) -> Json:
    """Return a board of one session with queries that name it: as a pattern, the name a.b would mean a-b, too.

    Grafana escapes for patterns only the values of a variable that may have several.
    """
    pattern, name = map(_quoted, ONE_OF_SEVERAL)
    return cast("Json", json.loads(json.dumps(made).replace(pattern, name)))


def _quoted(matcher: str) -> str:
    """Return a matcher as it stands in JSON."""
    return json.dumps(matcher)[1:-1]


def laid_out(panels: Sequence[Json]) -> Iterator[Json]:
    """Yield panels with their ids and places: each right of the last one, or below where there is no room."""
    ids = iter(range(1, 1000))
    x = y = tallest = 0
    for panel in panels:
        width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if x + width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        placed = {"id": next(ids), **panel, "gridPos": {"x": x, "y": y, "w": width, "h": height}}
        if panel.get("panels"):
            placed["panels"] = _inside(panel["panels"], ids, y + height)
        yield placed
        x, tallest = x + width, max(tallest, height)


def _inside(panels: Sequence[Json], ids: Iterator[int], top: int) -> list[Json]:
    """Return the panels of a row that is closed, which stand below it when it is opened."""
    inside = list(laid_out(panels))
    for panel in inside:
        panel["id"] = next(ids)
        panel["gridPos"]["y"] += top
    return inside


def query_variable(name: str, label: str, query: str, **more: Any) -> Json:
    """Return a variable whose values Prometheus gives, read again whenever the time changes."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": "StandardVariableQuery"},
        "definition": query,
        "regex": "",
        "refresh": 2,
        "sort": 1,
        "multi": False,
        "includeAll": False,
        "options": [],
        "current": {},
        "hide": 0,
    } | more


def data_source(name: str, label: str, plugin: str) -> Json:
    """Return a variable of which a data source of one kind is chosen, the default one at first."""
    return {
        "name": name,
        "label": label,
        "type": "datasource",
        "query": plugin,
        "regex": "",
        "refresh": 1,
        "multi": False,
        "includeAll": False,
        "options": [],
        "current": {},
        "hide": 0,
    }


def any_of(name: str, label: str, query: str) -> Json:
    """Return a variable of which several values, and at first all, are chosen."""
    everything = {"text": ["All"], "value": ["$__all"]}
    return query_variable(
        name, label, query, multi=True, includeAll=True, allValue=".+", current=everything
    )


DATASOURCE = data_source("datasource", "Data source", "prometheus")
"""The Prometheus to ask. No `__inputs`, which only the import dialog resolves, and provisioning does not."""

JOB = any_of("job", "Job", "label_values(bridge_build_info, job)")

INSTANCE = any_of("instance", "Instance", 'label_values(bridge_build_info{job=~"$job"}, instance)')

SESSIONS = any_of(
    "session",
    "Session",
    'label_values(training_session_info{job=~"$job", instance=~"$instance"}, session_id)',
)

_INFO = "last_over_time(training_session_info{%s}[$__range])"

_WITH_MODEL = CHOSEN_BRIDGES + ', model_name!=""'

_NAMED = f"max by (session_id, model_name) ({_INFO % _WITH_MODEL})"

_NAMELESS = f"max by (session_id) ({_INFO % CHOSEN_BRIDGES})"

SESSION = query_variable(
    "session",
    "Session",
    f'query_result(label_join({_NAMED}, "shown", " · ", "session_id", "model_name")'
    f' or on (session_id) label_join({_NAMELESS}, "shown", "", "session_id"))',
    regex='/session_id="(?<value>[^"]+)".*shown="(?<text>[^"]*)"/',
)
"""One session of those within the time shown, whether it goes on or has ended, and once, whichever bridges know it."""

BRIDGE_URL = query_variable(
    "bridge_url",
    "Bridge",
    "query_result(max by (public_url) (last_over_time("
    + chosen(
        f"bridge_build_info[$__range]) and on (job, instance) ({latest('training_session_info')})"
    )
    + "))",
    regex='/public_url="([^"]*)"/',
    hide=2,
)
"""Where the bridge that heard from the session last has its pages; hidden, for texts and links."""

PAGE_OF_THE_SESSION: Json = {
    "type": "link",
    "title": "Page on its bridge",
    "url": f"{OF_THE_BOARD}/sessions/${{session}}",
    "icon": "external link",
    "tooltip": "Curves, images and commands of this session",
    "tags": [],
    "asDropdown": False,
    "includeVars": False,
    "keepTime": False,
    "targetBlank": True,
}

_TO_THE_OTHERS: Json = {
    "type": "dashboards",
    "title": "Training",
    "tags": ["trainbridge"],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
