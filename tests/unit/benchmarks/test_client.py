"""The loops of `make bench-client`, each in a process of its own, and the page that shows them."""

import json
import os
import subprocess
import sys

import pytest
from support.tools import ROOT

sys.path.append(str(ROOT / "benchmarks" / "client"))

import cost_page

CLIENT = ROOT / "benchmarks" / "client"


def loop(*arguments, **environment):
    """Return what a loop prints, or how it ends."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", CLIENT / "one_loop.py", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_a_loop_is_timed():
    """Its figures are in order, in seconds; what nobody answers is accounted for."""
    ran = loop(
        *("trainbridge", "loss only", "50", "0"),
        TRAINBRIDGE_ADDRESS="127.0.0.1:9",
        SUBJECT_SESSION="run",
        SUBJECT_BRIDGE="down",
    )
    found = json.loads(ran.stdout)

    assert 0 < found["p50"] <= found["p99"] <= found["max"]
    assert found["steps"] == 50


def test_what_has_not_arrived_is_an_error():
    """A loop has no figure where its subject has lost something."""
    ran = loop(
        *("trainbridge", "loss only", "5", "0"),
        TRAINBRIDGE_ADDRESS="127.0.0.1:9",
        SUBJECT_SESSION="run",
        SUBJECT_BRIDGE="nonsense",
        PYTHONPATH=f"{CLIENT}:{ROOT}",
    )

    assert ran.returncode != 0
    assert "the bridge is not reached" in ran.stderr


def row(name, figure, unit="us"):
    """Return a row as the runner writes it."""
    return {"name": name, "regime": "60/s", "figure": figure, "unit": unit}


@pytest.mark.parametrize(
    ("figure", "shown"), [(12.345, "12.3 us"), (1234.5, "1.23 ms"), (0.5, "0.5 us")]
)
def test_a_loop_is_one_line_of_the_page(figure, shown):
    """With all of its figures; where something is missing there is no line."""
    rows = [row(f"SDK; loss only; {name}", figure) for name in ("p50", "p99", "max")]
    rows.append(row("SDK; loss only; CPU", 0.25, "s / 10,000 steps"))
    rows.append(row("other; loss only; p50", None))
    text = cost_page.table({"rows": rows})

    assert text.splitlines()[2:] == [
        f"| SDK | loss only | 60/s | {shown} | {shown} | {shown} | 0.25 s |"
    ]
