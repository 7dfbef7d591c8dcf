"""The alert rules where they are shipped from: for Prometheus, for Grafana, and for the chart, which fills in the addresses."""

from collections.abc import Mapping

from bridge.alert_rules.addresses import Addresses
from bridge.alert_rules.grafana import grafana_text
from bridge.alert_rules.prometheus import open_text, rules_text

RULE_FILE = "deploy/prometheus/trainbridge.rules.yaml"

OF_COMPOSE = "deploy/compose/trainbridge.rules.yaml"
HERE = Addresses(public_url="http://localhost:8080", grafana_url="http://localhost:3000")
"""Where the containers of deploy/compose are found."""

OF_THE_CHART = "deploy/helm/trainbridge/files/rules/trainbridge.rules.yaml"

OF_GRAFANA = "grafana/provisioning/alerting/trainbridge.yaml"


def files() -> Mapping[str, str]:
    """Return the text of every file that is written, by its path in the repository."""
    return {
        RULE_FILE: rules_text(Addresses()),
        OF_COMPOSE: rules_text(HERE),
        OF_THE_CHART: open_text(),
        OF_GRAFANA: grafana_text(Addresses()),
    }
