"""What is counted within the time shown is counted exactly, rare things included, wherever the session was meanwhile."""

import json
import subprocess

import pytest
from support.tools import tool

from grafana.counts import in_range

COUNTER = 'training_images_total{result="stored"}'

QUERY = in_range(COUNTER).replace("$__range", "30m").replace("$__rate_interval", "1m")
"""As Grafana asks it when a board shows half an hour."""

BEFORE = 30
"""How many minutes of samples, one a minute, lie before the time shown."""


def given(copies):
    """Return the samples of each copy of a counter, as promtool takes them."""
    return [
        {
            "series": f'training_images_total{{session_id="s", result="stored", instance="{bridge}"}}',
            "values": values,
        }
        for bridge, values in copies.items()
    ]


SCENES = {
    # what happened: how each copy of the counter went, minute by minute; what was counted in the last thirty
    "it was never elsewhere": ({"a": "0+1x60"}, 30),
    "a rare thing happens for the first time": ({"a": "_x45 1x15"}, 1),
    "it moves to another bridge": ({"a": "0+1x40 stale", "b": "_x42 42+1x18"}, 30),
    "it moves there and back": (
        {"a": "0+1x40 stale _x9 51+1x9", "b": "_x42 42+1x8 stale"},
        30,
    ),
    "both show it for one scrape": ({"a": "0+1x40 40 stale", "b": "_x41 41+1x19"}, 30),
    "it moved before the time shown": ({"a": "0+1x10 stale", "b": "_x12 12+1x48"}, 30),
}

BEGUN_ANEW = {
    "another attempt begins": ({"a": "0+1x45 0+1x14"}, 29),
    "another attempt begins at another bridge": ({"a": "0+1x45 stale", "b": "_x46 0+1x14"}, 29),
    "it moves to a bridge with a state of its own": (
        {"a": "0+1x40 stale", "b": "_x41 0+1x19"},
        29,
    ),
}


@pytest.mark.parametrize(
    ("copies", "expected", "slack"),
    [(*scene, 0) for scene in SCENES.values()] + [(*scene, 1.5) for scene in BEGUN_ANEW.values()],
    ids=[*SCENES, *BEGUN_ANEW],
)
def test_it_is_what_happened(copies, expected, slack, tmp_path):
    """Whatever of the session stands on which bridge; where a counter began anew, `increase` guesses at the ends."""
    asked = {
        "expr": f"count(abs({QUERY} - {expected}) <= {slack}) or on () {QUERY}",
        "eval_time": f"{2 * BEFORE}m",
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    case = {"interval": "1m", "input_series": given(copies), "promql_expr_test": [asked]}
    test = tmp_path / "test.yaml"
    test.write_text(json.dumps({"evaluation_interval": "1m", "tests": [case]}))

    done = subprocess.run(
        [tool("promtool"), "test", "rules", test], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_by_the_labels_of_its_family():
    """A board adds up what it does not show; where a series was scraped does not count."""
    assert "max by (session_id, result) (" in in_range(COUNTER)
