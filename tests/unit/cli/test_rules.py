"""`trainbridge rules`: what it prints, where it writes, and what it does not take."""

import pytest
import yaml

from bridge import cli
from bridge.alert_rules.addresses import Addresses
from bridge.alert_rules.prometheus import rules_text

GRAFANA = "https://grafana.example.org"
BRIDGE = "https://bridge.example.org/ml"
RUNBOOK = "https://docs.example.org/operations"


def printed(capsys, *words):
    """Return what the command prints, read as YAML."""
    assert cli.main(["rules", *words]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def alert(rules, name):
    """Return an alert of a rule file."""
    [found] = [
        rule for group in rules["groups"] for rule in group["rules"] if rule.get("alert") == name
    ]
    return found


def test_without_addresses_it_prints_the_plain_file(capsys):
    """Links lead to each bridge by a query, and what is not known has none."""
    annotations = alert(printed(capsys), "TrainingStalled")["annotations"]

    assert annotations["page"].startswith("{{ with query (printf `")
    assert annotations["runbook"] == "docs/operations.md#trainingstalled"
    assert annotations.keys().isdisjoint({"dashboard", "runbook_url"})


def test_links_begin_with_the_given_addresses(capsys):
    """A slash at their end makes no difference."""
    rules = printed(
        capsys, "--public-url", f"{BRIDGE}/", "--grafana-url", GRAFANA, "--runbook-url", RUNBOOK
    )

    annotations = alert(rules, "TrainingStalled")["annotations"]
    session = "{{ $labels.session_id }}"
    assert annotations["page"] == f"{BRIDGE}/sessions/{session}"
    assert annotations["images"] == f"{BRIDGE}/go/images?session={session}"
    assert annotations["dashboard"] == f"{GRAFANA}/d/trainbridge-session?var-session={session}"
    assert annotations["runbook_url"] == f"{RUNBOOK}#trainingstalled"
    assert "runbook" not in annotations


def test_the_operator_gets_the_same_rules_in_an_object(capsys):
    """For whoever installs the bridge without the chart."""
    rules = printed(capsys, "--format", "operator", "--grafana-url", GRAFANA)

    assert (rules["apiVersion"], rules["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert rules["spec"] == yaml.safe_load(rules_text(Addresses(grafana_url=GRAFANA)))


def test_grafana_gets_rules_for_its_data_source(capsys):
    """Every query asks the one that is named."""
    rules = printed(capsys, "--format", "grafana", "--datasource", "mimir")

    asked = {
        query["datasourceUid"]
        for group in rules["groups"]
        for rule in group["rules"]
        for query in rule["data"]
    }
    assert asked == {"mimir", "__expr__"}


def test_a_file_is_written(tmp_path, capsys):
    """And nothing is printed."""
    path = tmp_path / "rules.yaml"

    assert cli.main(["rules", "--output", str(path)]) == 0
    assert path.read_text() == rules_text(Addresses())
    assert capsys.readouterr().out == ""


def test_a_file_that_cannot_be_written_is_named(tmp_path, capsys):
    """With the reason, and what to give instead."""
    path = tmp_path / "missing" / "rules.yaml"

    assert cli.main(["rules", "--output", str(path)]) == 2
    error = capsys.readouterr().err
    assert f"--output: {path} cannot be written: No such file or directory" in error


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--grafana-url", "grafana.example.org"], "did you mean http://grafana.example.org?"),
        (["--public-url", "https://u:p@bridge"], "invalid value"),
        (["--public-url", "https://bridge/{{x}}"], "percent-encode"),
        (["--runbook-url", "https://docs/it's"], "%27"),
    ],
)
def test_an_address_that_no_link_can_begin_with_is_refused(capsys, words, reason):
    """Before it breaks the file or its templates."""
    with pytest.raises(SystemExit) as error:
        cli.main(["rules", *words])

    assert error.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_data_source_is_for_grafana_alone(capsys):
    """Rules of Prometheus name none."""
    assert cli.main(["rules", "--datasource", "mimir"]) == 2
    assert "--format grafana" in capsys.readouterr().err
