"""The rules that Grafana evaluates are those of Prometheus."""

import re
import subprocess

import promql_parser
import pytest
import yaml
from support.tools import ROOT, tool

from bridge.alert_rules import GROUPS
from bridge.alert_rules.addresses import Addresses
from bridge.alert_rules.grafana import DATASOURCE, queries
from bridge.alert_rules.inlined import inlined
from bridge.alert_rules.prometheus import expression, flat
from bridge.alert_rules.rule import Alert
from grafana.alerting import OF_GRAFANA, RULE_FILE

ALERTS = {rule.name: rule for group in GROUPS for rule in group.rules if isinstance(rule, Alert)}
RULES = {
    rule["title"]: rule
    for group in yaml.safe_load((ROOT / OF_GRAFANA).read_text())["groups"]
    for rule in group["rules"]
}
INLINED = [
    name for name, alert in ALERTS.items() if "training:" in alert.expr or "run:" in alert.expr
]
TESTS = sorted((ROOT / RULE_FILE).parent.glob("*.rules.test.yaml"))

RULE_KEYS = {
    *("uid", "title", "condition", "data", "dashboardUid", "panelId", "noDataState"),
    *("execErrState", "for", "annotations", "labels", "isPaused", "keepFiringFor"),
}
"""What Grafana's documentation names for a provisioned alert rule."""

FUNCTIONS = {"humanize", "humanizeDuration", "humanizePercentage", "printf", "urlquery", "with"}
"""What our templates use, each of which Grafana's templates of alerts have, too."""


@pytest.mark.parametrize("name", ALERTS)
def test_grafana_has_every_alert(name):
    """Under an id that stays, so that an upgrade changes the rule instead of adding one; where nothing is found nothing fires."""
    rule = RULES[name]

    assert rule.keys() <= RULE_KEYS
    assert rule["uid"] == f"trainbridge-{name.lower()}"
    assert len(rule["uid"]) <= 40
    assert rule["noDataState"] == "OK"
    assert rule["for"] == (ALERTS[name].wait or "0s")
    assert rule["labels"] == {"severity": ALERTS[name].severity}


@pytest.mark.parametrize("name", ALERTS)
def test_queries_parse_and_hold_nothing_that_grafana_replaces(name):
    """Provisioning fills in $NAME in queries, though not in annotations."""
    *asked, condition = RULES[name]["data"]

    for query in asked:
        promql_parser.parse(query["model"]["expr"])
        assert query["datasourceUid"] == query["model"]["datasource"]["uid"] == DATASOURCE
    assert "$" not in str(RULES[name]["data"])
    assert condition["refId"] == RULES[name]["condition"]
    assert condition["model"]["expression"] == "A"


@pytest.mark.parametrize("name", ALERTS)
def test_templates_use_what_grafana_has(name):
    """Values by refId, labels, and its functions; links read the bridge from a query that is there."""
    rule = RULES[name]
    refs = {query["refId"] for query in rule["data"]}

    for text in rule["annotations"].values():
        for inside in re.findall(r"\{\{(.*?)\}\}", text):
            assert set(re.findall(r"\$(\w+)", inside)) <= {"values", "labels"}
            assert set(re.findall(r"\$values\.(\w)", inside)) <= refs
            plain = re.sub(r'\$[\w.]+|"[^"]*"|\bend\b|[|.]', " ", inside)
            assert set(plain.split()) <= FUNCTIONS


def test_with_an_address_no_query_is_made_for_it():
    """All links lead there."""
    alert = ALERTS["TrainingStalled"]

    assert queries(alert, Addresses()).keys() == {"A", "B"}
    assert queries(alert, Addresses(public_url="https://b.example.org")).keys() == {"A"}


def test_links_lead_to_the_bridge_that_heard_from_the_session_last(tmp_path):
    """Query B has the address as a label, next to all labels of the alert, also where that bridge is down by now."""
    labels = 'session_id="moved", job="b"'
    throttled = f'training_gpu_throttled{{{labels}, gpu="0", gpu_uuid="u", reason="thermal"'
    update = f"training_session_last_update_timestamp_seconds{{{labels}"
    series = {
        'bridge_build_info{public_url="http://old", job="b", instance="0"}': "1x30",
        'bridge_build_info{public_url="http://new", job="b", instance="1"}': "1x20 stale",
        f'{update}, instance="0"}}': "0+60x5 300x25",
        f'{update}, instance="1"}}': "_x6 360+60x14 stale",
        f'{throttled}, instance="0"}}': "1x30",
    }
    expected = {
        "labels": '{session_id="moved", gpu="0", gpu_uuid="u", reason="thermal", public_url="http://new"}',
        "value": 1,
    }
    alert = queries(ALERTS["TrainingGPUThrottled"], Addresses())["B"]
    check = {"expr": f"({alert}) > bool 0", "eval_time": "25m", "exp_samples": [expected]}
    given = [{"series": name, "values": values} for name, values in series.items()]

    run_promtool(tmp_path, [{"interval": "1m", "input_series": given, "promql_expr_test": [check]}])


def run_promtool(folder, scenes):
    """Have promtool run scenes with the shipped rules, and fail with what it says."""
    path = folder / "test.yaml"
    path.write_text(
        yaml.safe_dump(
            {"rule_files": [str(ROOT / RULE_FILE)], "evaluation_interval": "1m", "tests": scenes}
        )
    )
    done = subprocess.run(
        [tool("promtool"), "test", "rules", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def same(name, minute):
    """Return checks that an alert's expression gives the same with recorded series and without."""
    rule, alone = flat(expression(ALERTS[name])), inlined(name)
    return [
        {"expr": f"({one}) unless ({other})", "eval_time": minute, "exp_samples": []}
        for one, other in ((rule, alone), (alone, rule))
    ]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_they_fire_in_the_same_scenes(path, tmp_path):
    """Whatever is recorded for Prometheus is computed by the query itself in Grafana, at each time that a test looks at."""
    scenes = yaml.safe_load(path.read_text())["tests"]
    for scene in scenes:
        looks = scene.pop("alert_rule_test", []) + scene["promql_expr_test"]
        minutes = sorted({look["eval_time"] for look in looks})
        scene["promql_expr_test"] = [
            check for minute in minutes for name in INLINED for check in same(name, minute)
        ]

    run_promtool(tmp_path, scenes)
