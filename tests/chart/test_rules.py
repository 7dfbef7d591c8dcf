"""A cluster gets the alert rules with the addresses of its values, as `trainbridge rules` prints them."""

import itertools

import pytest
import yaml
from support.charts import GOLDEN, IMAGE, case, objects

from bridge.alert_rules.addresses import Addresses
from bridge.alert_rules.prometheus import rules_text

WITH_RULES = ["autoscaled", "keda"]
"""Cases that ship them."""

KNOWN = {
    "public_url": "https://bridge.example.org/ml",
    "grafana_url": "https://grafana.example.org",
    "runbook_url": "https://docs.example.org/operations.html",
}
COMBINATIONS = [
    dict(zip(KNOWN, urls, strict=True))
    for urls in itertools.product(*[("", url) for url in KNOWN.values()])
]


def rules_of(values, **where):
    """Return the rules that the chart installs."""
    [rules] = [each for each in objects(values, **where) if each["kind"] == "PrometheusRule"]
    return rules["spec"]


@pytest.mark.parametrize(
    "known", COMBINATIONS, ids=lambda known: "-".join(filter(None, known.values())) or "none"
)
def test_links_begin_with_the_addresses_of_the_values(known):
    """Whichever are known: the very rules that the command prints for them, and templates pass Helm untouched."""
    rule = {"enabled": True, "publicUrl": known["public_url"], "runbookUrl": known["runbook_url"]}
    values = {
        **IMAGE,
        "settings": {"grafana_url": known["grafana_url"]},
        "metrics": {"prometheusRule": rule},
    }

    assert rules_of(values) == yaml.safe_load(rules_text(Addresses(**known)))


def test_an_address_may_end_with_a_slash():
    """It is the same address."""
    values = {
        **IMAGE,
        "settings": {"grafana_url": "https://grafana.example.org/"},
        "metrics": {"prometheusRule": {"enabled": True}},
    }

    assert "example.org//d" not in yaml.safe_dump(rules_of(values))


@pytest.mark.parametrize("name", WITH_RULES)
def test_every_case_with_rules_is_complete(name):
    """A golden render has only the name of the rules in the place of their text: this compares the text."""
    values, where = case(name)
    grafana_url = values.get("settings", {}).get("grafana_url", "")

    assert rules_of(values, **where) == yaml.safe_load(
        rules_text(Addresses(grafana_url=grafana_url))
    )


def test_golden_renders_name_the_rules():
    """And no case escapes the comparison."""
    naming = [
        path.stem
        for path in sorted(GOLDEN.glob("*.yaml"))
        if "<trainbridge.rules" in path.read_text()
    ]

    assert naming == WITH_RULES
