"""The alert rules and boards that the chart ships are those that are tested, and they are right."""

import json
import re
import subprocess

import pytest
import yaml
from support.charts import CHART, GOLDEN, SHIPPED, case, objects, originals
from support.tools import ROOT, tool

from bridge.families import BRIDGE_FAMILIES
from bridge.sinks.metrics.families import TRAINING_FAMILIES

RULES = ROOT / "deploy" / "prometheus"
[RULE_FILE] = originals(RULES)
TESTS = sorted(RULES.glob("*.rules.test.yaml"))
RULE_LIST = [
    rule for group in yaml.safe_load(RULE_FILE.read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULE_LIST if "alert" in rule]
RECORDS = [rule for rule in RULE_LIST if "record" in rule]
BOARDS = originals(ROOT / "grafana" / "dashboards")

WITH_RULES = ["autoscaled", "keda"]
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
    assert asked or any(rule["record"] in query for rule in RECORDS)
    for name, matchers in asked:
        assert name in LABELS, name
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            assert label in LABELS[name], f"{name}{{{label}}}"


@pytest.mark.parametrize("target", SHIPPED, ids=lambda path: path.name)
def test_the_chart_ships_the_very_files(target):
    """Helm cannot reach outside of the chart, and some deployers drop links, so these are copies: the same to the byte."""
    source = SHIPPED[target]
    shipped = {path.name: path.read_bytes() for path in target.iterdir()}

    assert shipped == {path.name: path.read_bytes() for path in originals(source)}
    assert shipped


@pytest.mark.parametrize("name", WITH_RULES)
def test_a_cluster_gets_the_rules_as_they_are(name):
    """Templates of alerts pass Helm untouched."""
    values, where = case(name)
    [rules] = [thing for thing in objects(values, **where) if thing["kind"] == "PrometheusRule"]

    assert rules["spec"] == yaml.safe_load(RULE_FILE.read_text())


@pytest.mark.parametrize("name", WITH_BOARDS)
def test_a_cluster_gets_the_boards_as_they_are(name):
    """Templates of legends pass Helm untouched."""
    values, where = case(name)
    things = objects(values, **where)
    [boards] = [thing for thing in things if thing["metadata"]["name"].endswith("-dashboards")]

    assert {name: json.loads(text) for name, text in boards["data"].items()} == {
        f"trainbridge-{path.name}": json.loads(path.read_text()) for path in BOARDS
    }
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize(
    ("names", "shipped"),
    [(WITH_RULES, [RULE_FILE]), (WITH_BOARDS, BOARDS)],
    ids=["rules", "boards"],
)
def test_golden_renders_name_what_is_compared_here(names, shipped):
    """A golden render has the name of a shipped file in place of its content, and no case escapes the comparison."""
    markers = [f"<{path.name}>" for path in shipped]
    naming = [
        path.stem
        for path in sorted(GOLDEN.glob("*.yaml"))
        if any(marker in path.read_text() for marker in markers)
    ]

    assert naming == names


def test_a_board_fits_a_configmap():
    """Kubernetes takes at most 1 MiB of them together."""
    folder = CHART / "files" / "dashboards"

    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


def test_promtool_accepts_the_rules():
    """They parse, and their templates do."""
    done = subprocess.run(
        [tool("promtool"), "check", "rules", RULE_FILE],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("tests", TESTS, ids=lambda path: path.name)
def test_alerts_fire_when_they_should(tests):
    """Each alert has its series that make it fire, and series that must not: a session that moved among them."""
    done = subprocess.run(
        [tool("promtool"), "test", "rules", tests],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested():
    """No alert is shipped that no test of the rules makes fire."""
    texts = [path.read_text() for path in TESTS]
    fired = set(re.findall(r'ALERTS\{alertname="(\w+)", alertstate="firing", ', "".join(texts)))
    fired |= {
        check["alertname"]
        for text in texts
        for test in yaml.safe_load(text)["tests"]
        for check in test.get("alert_rule_test", [])
        if check["exp_alerts"]
    }

    assert fired == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("rule", RECORDS, ids=lambda rule: rule["record"])
def test_recorded_series_are_tested_and_ask_for_what_exists(rule):
    """Their names begin with what they are about, and some test of the rules reads each, or an alert does."""
    readers = [path.read_text() for path in TESTS] + [other["expr"] for other in RULE_LIST]

    assert re.fullmatch(r"(training|run):[a-z0-9_]+(:[a-z0-9_]+)?", rule["record"])
    assert any(rule["record"] in reader for reader in readers)
    check_series(rule["expr"])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alerts_say_what_to_do(alert):
    """Each names its severity, what is wrong and what it means, and asks for series that exist."""
    assert alert["labels"]["severity"] in ("info", "warning", "critical")
    assert len(alert["annotations"]["summary"]) < 100
    assert len(alert["annotations"]["description"]) > 80
    check_series(alert["expr"])


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

    assert board["uid"] == f"trainbridge-{path.stem}"
    assert board["editable"] is False
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
