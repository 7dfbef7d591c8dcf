"""The configurations of Prometheus and Alertmanager for one machine, made from those that the containers have."""

import re

import yaml
from support.prometheus import shortened_rules
from support.tools import ROOT

from bridge.alert_rules.addresses import Addresses
from bridge.alert_rules.prometheus import rules_text

PROMETHEUS = ROOT / "deploy" / "compose" / "prometheus.yaml"
ALERTMANAGER = ROOT / "deploy" / "prometheus" / "alertmanager.yaml"

CONTAINERS = {
    "bridge": "bridge:8080",
    "prometheus": "localhost:9090",
    "alertmanager": "alertmanager:9093",
}
"""Where the servers are in the configurations of the containers."""

NOT_HERE = {"grafana", "tempo"}
"""Jobs of programs that Debian does not have."""

QUICKER = {"1h": "5m", "10m": "30s", "600": "30"}
"""How far back the rules about a loss that diverges look, and how far they do with quick alerts."""

PAUSED_BY = "TrainingDiverging"
"""The alert that pauses its run where that is wanted."""


def write_prometheus(folder, addresses, *, scrape_seconds, has_quick_alerts, pauses=False):
    """Write its configuration and its rules, and return the file; with quick alerts seconds stand for minutes."""
    rules = folder / "trainbridge.rules.yaml"
    public_url = addresses.as_urls()["bridge"]
    rules.write_text(
        quick_rules() if has_quick_alerts else rules_text(Addresses(public_url=public_url))
    )
    configuration = yaml.safe_load(_with(addresses, PROMETHEUS.read_text()))
    configuration["global"] = {
        "scrape_interval": f"{scrape_seconds}s",
        "evaluation_interval": f"{scrape_seconds}s",
    }
    configuration["rule_files"] = [str(rules)]
    configuration["scrape_configs"] = [
        job for job in configuration["scrape_configs"] if job["job_name"] not in NOT_HERE
    ]
    if pauses:
        configuration["alerting"]["alert_relabel_configs"] = [_command_label()]
    return _write(folder / "prometheus.yaml", yaml.safe_dump(configuration))


def quick_rules():
    """Return the rules about trainings that tell a hang after seconds, and a loss that diverges after half a minute."""
    rules = yaml.safe_load(shortened_rules())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        if "low_loss" in rule["expr"] + rule.get("record", ""):
            rule["expr"] = re.sub(r"\b(1h|10m|600)\b", _quicker, rule["expr"])
    return yaml.safe_dump(rules, width=1000)


def _quicker(found):
    return QUICKER[found[1]]


def _command_label():
    """Return what labels the alert with the command that it sends, as docs/operations.md has it."""
    return {
        "source_labels": ["alertname"],
        "regex": PAUSED_BY,
        "target_label": "trainbridge_command",
        "replacement": "pause",
    }


def write_alertmanager(folder, addresses):
    """Write its configuration, and return the file."""
    return _write(folder / "alertmanager.yaml", _with(addresses, ALERTMANAGER.read_text()))


def _with(addresses, text):
    """Return a configuration with the addresses of this machine."""
    for name, there in CONTAINERS.items():
        text = text.replace(there, getattr(addresses, name))
    return text


def _write(path, text):
    path.write_text(text)
    return path
