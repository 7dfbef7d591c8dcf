"""Each alert has a scene in which it fires, one in which it must not, and one in which it ends."""

import re
from dataclasses import dataclass

import pytest
import yaml
from support.tools import ROOT

from bridge.alert_rules import GROUPS
from bridge.alert_rules.inlined import inlined
from bridge.alert_rules.rule import Alert
from grafana.alerting import RULE_FILE

SCENES = [
    scene
    for path in sorted((ROOT / RULE_FILE).parent.glob("*.rules.test.yaml"))
    for scene in yaml.safe_load(path.read_text())["tests"]
]
ALERTS = [rule.name for group in GROUPS for rule in group.rules if isinstance(rule, Alert)]

ASKED = re.compile(r'ALERTS\{alertname(=~?)"([^"]+)"(?:, alertstate="firing")?\}')
FIRING = re.compile(r'ALERTS\{alertname="(\w+)", alertstate="firing"')
SERIES = re.compile(r"(?:training|bridge)_\w+|\bup\b")


@dataclass(frozen=True)
class Look:
    """What a scene expects of an alert at a time."""

    minute: int
    fires: bool


def looks(scene, alert):
    """Return what a scene expects of an alert, by time."""
    found = []
    for check in scene.get("promql_expr_test", []):
        asked = ASKED.fullmatch(check["expr"])
        if asked and re.fullmatch(asked[2], alert):
            labels = " ".join(sample["labels"] for sample in check["exp_samples"])
            found.append(Look(minute(check), alert in FIRING.findall(labels)))
    found += [
        Look(minute(check), bool(check["exp_alerts"]))
        for check in scene.get("alert_rule_test", [])
        if check["alertname"] == alert
    ]
    return sorted(found, key=lambda look: look.minute)


def minute(check):
    """Return when a check is made."""
    return int(check["eval_time"].removesuffix("m"))


def is_about(scene, alert):
    """Return whether a scene has one of the series that an alert reads."""
    given = set(SERIES.findall(" ".join(one["series"] for one in scene["input_series"])))
    return bool(given & set(SERIES.findall(inlined(alert))))


def ends(seen):
    """Return whether an alert that fired does not any more."""
    fired = False
    for look in seen:
        if fired and not look.fires:
            return True
        fired = fired or look.fires
    return False


@pytest.mark.parametrize("alert", ALERTS)
def test_it_fires_in_a_scene(alert):
    """Where it should."""
    assert any(look.fires for scene in SCENES for look in looks(scene, alert))


@pytest.mark.parametrize("alert", ALERTS)
def test_it_does_not_fire_in_a_scene_with_its_series(alert):
    """Where only something similar happens, or not for long enough."""
    assert any(
        is_about(scene, alert) and not look.fires
        for scene in SCENES
        for look in looks(scene, alert)
    )


@pytest.mark.parametrize("alert", ALERTS)
def test_it_ends_in_a_scene(alert):
    """When what it is about is over."""
    assert any(ends(looks(scene, alert)) for scene in SCENES)
