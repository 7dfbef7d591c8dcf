"""The boards that the chart ships are those that are tested, and they are right."""

import json
import re
import subprocess

import pytest
import yaml
from support.charts import CHART, GOLDEN, case, objects, originals
from support.tools import tool

from bridge.families import BRIDGE_FAMILIES
from bridge.sinks.metrics.families import TRAINING_FAMILIES

BOARDS = originals()

WITH_BOARDS = ["autoscaled", "keda", "long-names"]
"""Cases that ship them."""

LABELS = {
    family.name + suffix: {*family.labels, "le", "job", "instance"}
    for family in (*TRAINING_FAMILIES, *BRIDGE_FAMILIES)
    for suffix in (("_bucket", "_sum", "_count") if family.buckets else ("",))
}
UNITS = {"none", "short", "s", "percentunit", "suffix:/s", "bytes"}


def queries(board):
    """Go through the queries of a board, with their panels."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel, target


def windows(panel):
    """Return what a panel may take rates over: whatever its alert does, the hour that it speaks of, or what is drawn."""
    if "The same as the alert" in panel["description"]:
        return {"5m"}
    return {"1h" if "last hour" in panel["description"] else "$__rate_interval"}


def check_series(query):
    """Fail where a query asks for a series or a label that does not exist."""
    asked = re.findall(r"((?:training|bridge)_\w+)(?:\{([^}]*)\})?", query)
    assert asked
    for name, matchers in asked:
        assert name in LABELS, name
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            assert label in LABELS[name], f"{name}{{{label}}}"


def test_the_chart_ships_the_very_files():
    """Helm cannot reach outside of the chart, and some deployers drop links, so these are copies: the same to the byte."""
    shipped = {path.name: path.read_bytes() for path in (CHART / "files/dashboards").iterdir()}

    assert shipped == {path.name: path.read_bytes() for path in BOARDS}
    assert shipped


@pytest.mark.parametrize("name", WITH_BOARDS)
def test_a_cluster_gets_the_boards_as_they_are(name):
    """Templates of legends pass Helm untouched."""
    values, where = case(name)
    things = objects(values, **where)
    [boards] = [thing for thing in things if thing["metadata"]["name"].endswith("-dashboards")]

    assert {name: json.loads(text) for name, text in boards["data"].items()} == {
        path.name: json.loads(path.read_text()) for path in BOARDS
    }
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_golden_renders_name_what_is_compared_here():
    """A golden render has the name of a shipped file in place of its content, and no case escapes the comparison."""
    markers = [f"<{path.name}>" for path in BOARDS]
    naming = [
        path.stem
        for path in sorted(GOLDEN.glob("*.yaml"))
        if any(marker in path.read_text() for marker in markers)
    ]

    assert naming == WITH_BOARDS


def test_a_board_fits_a_configmap():
    """Kubernetes takes at most 1 MiB of them together."""
    folder = CHART / "files" / "dashboards"

    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.name)
def test_queries_of_boards_are_right(path):
    """Every query parses, asks for series that exist, and obeys the choice of job and instance."""
    board = json.loads(path.read_text())
    rules = []
    for panel, target in queries(board):
        query = target["expr"]
        check_series(query)
        for selector in re.findall(r"\{([^}]*)\}", query):
            assert 'job=~"$job"' in selector, panel["title"]
            assert 'instance=~"$instance"' in selector, panel["title"]
        for window in re.findall(r"(?:rate|increase)\([^\[]*\[([^\]]+)\]", query):
            assert window in windows(panel), panel["title"]
        plain = re.sub(r"\$__((rate_)?interval|range)", "5m", query)
        rules.append({"record": f"board:query:{len(rules)}", "expr": plain})
    done = subprocess.run(
        [tool("promtool"), "check", "rules", "/dev/stdin"],
        input=yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.name)
def test_boards_work_wherever_they_are_loaded(path):
    """A fixed uid, one variable for the data source, nothing that only the import dialogue would fill in."""
    board = json.loads(path.read_text())

    assert board["uid"] == path.stem
    assert board["editable"] is True
    assert board["schemaVersion"] == 41
    assert "id" not in board
    assert "__inputs" not in board
    assert "trainbridge" in board["tags"]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for name in ("job", "instance"):
        assert (variables[name]["allValue"], variables[name]["refresh"]) == (".+", 2)
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board)))
    assert used - {"datasource"} <= set(variables)


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.name)
def test_every_panel_explains_itself(path):
    """Each has a title, a description, a unit, a place of its own, and the chosen data source."""
    board = json.loads(path.read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    taken = set()
    for panel in panels:
        assert len(panel["title"].split()) <= 5
        assert len(panel["description"]) > 30
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
        assert place["x"] + place["w"] <= 24
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.name)
def test_nothing_about_a_session_is_identified_by_bridge(path):
    """A session may move: what is about it is aggregated, so that it stays one line."""
    for _, target in queries(json.loads(path.read_text())):
        if "training_" in target["expr"]:
            assert re.search(r"\b(sum|max|avg|min|count)\b", target["expr"])
            assert "by (instance" not in target["expr"]
