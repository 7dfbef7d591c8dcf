"""The alert rules that are shipped are those that are written, tested and explained."""

import re
import subprocess

import pytest
import yaml
from support.tools import ROOT, tool

from bridge.alert_rules import GROUPS
from bridge.alert_rules.addresses import RUNBOOK
from bridge.alert_rules.inlined import inlined
from bridge.alert_rules.rule import Alert
from bridge.families import BRIDGE_FAMILIES
from bridge.sinks.metrics.families import TRAINING_FAMILIES
from grafana.alerting import RULE_FILE, files

TESTS = sorted((ROOT / RULE_FILE).parent.glob("*.rules.test.yaml"))
SCENES = [scene for path in TESTS for scene in yaml.safe_load(path.read_text())["tests"]]
RULES = [rule for group in GROUPS for rule in group.rules]
ALERTS = [rule for rule in RULES if isinstance(rule, Alert)]
RECORDINGS = [rule for rule in RULES if not isinstance(rule, Alert)]

LABELS = {
    family.name + suffix: {*family.labels, "le", "job", "instance"}
    for family in (*TRAINING_FAMILIES, *BRIDGE_FAMILIES)
    for suffix in (("_bucket", "_sum", "_count") if family.buckets else ("",))
}


def promtool(*words):
    """Run promtool, and fail with what it says where it is not content."""
    done = subprocess.run(
        [tool("promtool"), *words], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", files())
def test_what_is_shipped_is_what_is_written(name):
    """Rules are changed in bridge/alert_rules, and written by `python -m grafana.build`."""
    assert (ROOT / name).read_text() == files()[name]


def test_promtool_accepts_the_rules():
    """They parse, and their templates do."""
    promtool("check", "rules", ROOT / RULE_FILE)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_alerts_fire_when_they_should(path):
    """Each alert has its series that make it fire, and series that must not: a session that moved among them."""
    promtool("test", "rules", path)


@pytest.mark.parametrize("rule", RECORDINGS, ids=lambda rule: rule.name)
def test_recorded_series_are_named_by_what_they_are_about(rule):
    """And some test of the rules reads each, or another rule does."""
    readers = [path.read_text() for path in TESTS] + [other.expr for other in RULES]

    assert re.fullmatch(r"(training|run):[a-z0-9_]+(:[a-z0-9_]+)?", rule.name)
    assert any(rule.name in reader for reader in readers)
    assert rule.meaning.endswith(".")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alerts_say_what_to_do(alert):
    """Each says in short what is wrong, and at length what that means."""
    assert len(alert.summary) < 100
    assert len(alert.description) > 80


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rules_ask_for_series_that_bridges_have(rule):
    """By name and label, also behind what other rules have recorded."""
    asked = re.findall(r"\b((?:training|bridge)_\w+)\b(?!:)(?:\{([^}]*)\})?", inlined(rule.name))
    labels = {label for family in (*TRAINING_FAMILIES, *BRIDGE_FAMILIES) for label in family.labels}

    assert {name for name, _ in asked} <= LABELS.keys() | labels
    for name, matchers in asked:
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            assert label in LABELS[name], f"{name}{{{label}}}"


PAGE = (ROOT / RUNBOOK).read_text()


def test_every_alert_has_a_heading():
    """Its runbook links to it: the name in lower case, as every renderer of Markdown makes an anchor of it."""
    headings = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)

    assert sorted(headings) == sorted(alert.name for alert in ALERTS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_runbook_says_what_it_means_and_how_it_ends(alert):
    """And what to look at or what to do in between."""
    text = re.search(rf"^### {alert.name}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]

    assert text.lstrip().startswith("**Means**")
    assert "**Look at**" in text or "**Do**" in text
    assert "**Ends**" in text.strip().split("\n\n")[-1]


def test_every_recorded_series_is_documented():
    """With the meaning that stands at its rule."""
    rows = re.findall(r"^\| `((?:training|run):[^`]+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE)

    assert dict(rows) == {rule.name: rule.meaning for rule in RECORDINGS}
