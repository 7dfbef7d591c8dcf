"""The runner of the benchmarks."""

import json
import subprocess
import sys

import pytest
from support.tools import ROOT

RUN = ROOT / "benchmarks" / "run.py"

FAST = """
from row import Row

def rows(quick):
    print("noise")
    yield Row(name="queue put", regime="full speed", figure=0.5, unit="us", target="<= 1 us", met=True)
    yield Row(name="log_batch", regime="full speed", figure=1.5, unit="us", floor=("put", 0.5),
              peers={"slow logger": 1234.5}, target="quick" if quick else "<= 1 us", met=False)
"""
BROKEN = """
def rows(quick):
    raise SystemExit(3)
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder with one benchmark that works and one that does not."""
    (tmp_path / "bench_fast.py").write_text(FAST)
    (tmp_path / "bench_broken.py").write_text(BROKEN)
    (tmp_path / "notes.py").write_text("raise SystemExit")
    return tmp_path


def test_prints_a_table_with_ratios_first(folder):
    """One line a row: the ratio to the floor, then the figures with their regime and target."""
    ran = run(folder, "--only", "fast")
    heading, put, log_batch = map(str.split, ran.stdout.splitlines())

    assert ran.returncode == 0
    assert heading[0] == "ratio"
    assert put == ["queue", "put", "full", "speed", "0.5", "us", "<=", "1", "us", "yes"]
    assert log_batch[0] == "3.00x"
    assert log_batch[-4:] == ["<=", "1", "us", "NO"]
    assert "slow logger 1,234" in ran.stdout


def test_writes_results(folder):
    """The rows are in the JSON file, with the machine they were measured on."""
    run(folder, "--only", "fast", "--quick")
    results = json.loads((folder / "results.json").read_text())

    assert results["quick"] is True
    assert results["machine"]["cores"] >= 1
    assert [row["ratio"] for row in results["rows"]] == [None, 3.0]
    assert results["rows"][1]["floor"] == ["put", 0.5]
    assert results["rows"][1]["target"] == "quick"


def test_failed_benchmark_fails_the_run_and_stops_no_other(folder):
    """A benchmark that breaks is named and costs the run its exit status, not the other rows."""
    ran = run(folder)

    assert ran.returncode == 1
    assert "failed: bench_broken" in ran.stderr
    assert "log_batch" in ran.stdout


def test_unknown_name_is_refused(folder):
    """Asking for a benchmark that is not there says which ones are."""
    ran = run(folder, "--only", "nothing")

    assert ran.returncode == 1
    assert "bench_broken, bench_fast" in ran.stderr


def run(folder, *arguments):
    """Run the runner on a folder of benchmarks."""
    command = [sys.executable, RUN, "--folder", folder, "--output", folder / "results.json"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
