"""The configurations of Prometheus and Alertmanager for one machine, made from those that the containers have."""

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


def write_prometheus(folder, addresses, *, scrape_seconds, has_quick_alerts):
    """Write its configuration and its rules, and return the file; with quick alerts seconds stand for minutes."""
    rules = folder / "trainbridge.rules.yaml"
    public_url = addresses.as_urls()["bridge"]
    rules.write_text(
        shortened_rules() if has_quick_alerts else rules_text(Addresses(public_url=public_url))
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
    return _write(folder / "prometheus.yaml", yaml.safe_dump(configuration))


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
