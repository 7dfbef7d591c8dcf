"""The queries of the first steps show what their table says, by promtool."""

import subprocess

import pytest
import yaml
from support.markdown import blocks, tables_under
from support.tools import ROOT, tool

STEPS = tables_under((ROOT / "docs" / "getting-started.md").read_text())["5. Scrape it"]
METRICS = blocks((ROOT / "docs" / "metrics.md").read_text(), "promql")
WITHOUT_STEPS = [
    *(query.strip("`") for query, shows in STEPS if "make no step" in shows),
    *(query for query in METRICS if "training_last_batch_timestamp_seconds" in query),
]
STEPPED = 'training_last_batch_timestamp_seconds{session_id="NAME", job="bridge"}'
STATUS = 'training_session_status{session_id="NAME", status="STATUS", job="bridge"}'

SESSIONS = {
    # name: when its last step came, at each minute; whether it reports running, at each minute
    "hung": ("0+0x20", "1x20"),
    "lively": ("0+60x20", "1x20"),
    "completed": ("0+0x20", "1 0x19"),
}


def series():
    """Return the series of a session that hangs, a lively one and one that has completed."""
    for name, (stepped, running) in SESSIONS.items():
        yield {"series": STEPPED.replace("NAME", name), "values": stepped}
        status = STATUS.replace("NAME", name).replace("STATUS", "running")
        yield {"series": status, "values": running}


@pytest.mark.parametrize("query", WITHOUT_STEPS)
def test_only_running_sessions_lack_steps(query, tmp_path):
    """One that has completed makes no step any more, as it should."""
    rules = [{"alert": "WithoutSteps", "expr": query}]
    (tmp_path / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]})
    )
    expected = [{"exp_labels": {"session_id": "hung", **JOB[query]}}]
    case = {
        "interval": "1m",
        "input_series": list(series()),
        "alert_rule_test": [
            {"eval_time": "15m", "alertname": "WithoutSteps", "exp_alerts": expected}
        ],
    }
    test = tmp_path / "test.yaml"
    test.write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [case]})
    )

    done = subprocess.run(
        [tool("promtool"), "test", "rules", test], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/metrics.md", "docs/getting-started.md"])
def test_every_scrape_job_is_one(page, tmp_path):
    """Promtool takes the configuration as it stands on the page; the files that it names need not be there."""
    [text] = [
        block for block in blocks((ROOT / page).read_text(), "yaml") if "scrape_configs" in block
    ]
    path = tmp_path / "prometheus.yaml"
    path.write_text(text)

    done = subprocess.run(
        [tool("promtool"), "check", "config", "--syntax-only", path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


JOB = {query: {} if "max by" in query else {"job": "bridge"} for query in WITHOUT_STEPS}
"""The labels that a query leaves in place besides the session's."""


def test_every_query_of_the_first_steps_can_be_parsed(tmp_path):
    """Promtool takes each as the expression of a rule."""
    rules = [
        {"record": f"q{number}", "expr": query.strip("`")}
        for number, (query, _) in enumerate(STEPS)
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]}))

    done = subprocess.run(
        [tool("promtool"), "check", "rules", path], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(WITHOUT_STEPS) == 2
