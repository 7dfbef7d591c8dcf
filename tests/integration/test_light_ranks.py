"""Four ranks under torchrun, one of which loads data slowly: page, API, series and alert say which."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from support.bridges import running_bridge
from support.programs import LAUNCHERS
from support.tools import ROOT, missing, tool
from support.waiting import until_true

RANK = """
import sys, time
from pathlib import Path

import torch
import torch.distributed as distributed

from bridge.client import TrainingSession

address, stop = sys.argv[1], Path(sys.argv[2])
distributed.init_process_group("gloo")
slow = distributed.get_rank() == 2
with TrainingSession(address, session_id="night", model="mlp", ranks="light", gpus="none") as session:
    step, goes_on = 0, True
    while goes_on:
        with session.phase("data"):
            time.sleep(0.05 if slow else 0.001)
        gradients = torch.ones(8)
        distributed.all_reduce(gradients)
        session.log_batch(float(gradients.sum()), step=step)
        step += 1
        answer = torch.tensor([int(stop.exists())])
        distributed.broadcast(answer, src=0)
        goes_on = not answer.item()
distributed.destroy_process_group()
"""

MINUTES = 30

COMPARED = ("training_session_info", "training_session_connected", "bridge_build_info")
GROWING = (
    *("training_phase_seconds_total", "training_batch_duration_seconds_sum"),
    "training_batch_duration_seconds_count",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a bridge, two scrapes of it while four ranks train, what it says of them then, and after their end."""
    if find_spec("torch") is None:
        missing("PyTorch is not installed here", "`make torch` gets it, into .venv")
    folder = tmp_path_factory.mktemp("ranks")
    program, stop = folder / "rank.py", folder / "stop"
    program.write_text(RANK)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    log = folder / "log"
    with running_bridge(folder / "state") as bridge, log.open("w") as output:
        training = subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "4"),
                *("--standalone", str(program), bridge.grpc, str(stop)),
            ],
            env=environment | {"OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
        )
        try:
            found = observed(bridge, training, log)
            stop.touch()
            assert training.wait(120) == 0, log.read_text()
        finally:
            training.kill()
            training.wait(30)
        yield {**found, "end": view(bridge)}


def view(bridge):
    """Return what the API says of the run; nothing before it is known."""
    try:
        return json.loads(bridge.get("/api/v1/runs/night"))
    except OSError:
        return {}


def reports(bridge):
    """Return how many steps each rank has reported, of those that have."""
    counted = bridge.metrics().get("training_batches_total", {})
    return {dict(labels)["session_id"]: value for labels, value in counted.items() if value}


def observed(bridge, training, log):
    """Return two scrapes that the reports of all four ranks lie between, and what the page and the API say then."""

    def is_ready(condition):
        assert training.poll() is None, log.read_text()
        return condition()

    until_true(lambda: is_ready(lambda: len(reports(bridge)) == 4), seconds=240)
    first, before = bridge.metrics(), reports(bridge)
    until_true(
        lambda: is_ready(
            lambda: all(reports(bridge)[name] > value for name, value in before.items())
        ),
        seconds=120,
    )
    until_true(lambda: is_ready(lambda: view(bridge)["slowest_rank"] is not None), seconds=120)
    return {
        "scrapes": (first, bridge.metrics()),
        "run": view(bridge),
        "page": bridge.get("/runs/night").decode(),
        "list": bridge.get("/").decode(),
    }


def test_the_page_and_the_api_name_the_slow_rank(run):
    """With where its time goes; the others wait for it, so their steps take as long."""
    ranks = {rank["rank"]: rank for rank in run["run"]["ranks"]}

    assert (run["run"]["slowest_rank"], run["run"]["world_size"], sorted(ranks)) == (
        2,
        4,
        [0, 1, 2, 3],
    )
    assert ranks[2]["phase_shares"]["data"] > 0.5 > ranks[1]["phase_shares"]["data"]
    assert ranks[2]["straggler_ratio"] > 0.3
    assert re.search(r"Rank 2 holds up each step by \d+% .*of its time in data", run["page"])
    assert "4 ranks</a>, 4 connected" in run["list"]


def test_the_other_ranks_only_measure(run):
    """One session of the four has losses; all of them end together, at the same step."""
    _, second = run["scrapes"]
    assert [dict(labels)["session_id"] for labels in second["training_loss"]] == ["night"]
    assert all(batches > 0 for batches in second["training_batches_total"].values())
    ranks = {rank["rank"]: rank for rank in run["end"]["ranks"]}

    assert {rank["state"] for rank in ranks.values()} == {"completed"}
    assert len({rank["step"] for rank in ranks.values()}) == 1
    assert run["end"]["ranks_behind"] == []


def series(run):
    """Return what was scraped as series of half an hour, in which the counters go on as between the two scrapes."""
    first, second = run["scrapes"]
    for name in (*COMPARED, *GROWING):
        for labels, value in second[name].items():
            text = ",".join(f"{key}={json.dumps(label)}" for key, label in sorted(labels))
            grown = value - first[name].get(labels, value) if name in GROWING else 0
            yield {
                "series": f'{name}{{{text},job="b",instance="0"}}',
                "values": f"{value!r}+{grown!r}x{MINUTES}",
            }


def test_the_alert_names_the_slow_rank(run, tmp_path):
    """The shipped rules, evaluated over what was scraped; the first measurements of a rank stand for half an hour."""
    fired = {
        "expr": 'count by (alertname, run_id, rank) (ALERTS{alertstate="firing", run_id!=""})',
        "eval_time": "25m",
        "exp_samples": [
            {"labels": '{alertname="TrainingStraggler", run_id="night", rank="2"}', "value": 1}
        ],
    }
    rules = ROOT / "deploy" / "prometheus" / "trainbridge.rules.yaml"
    case = {"interval": "1m", "input_series": list(series(run)), "promql_expr_test": [fired]}
    path = tmp_path / "test.yaml"
    path.write_text(
        json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [case]})
    )

    done = subprocess.run(
        [tool("promtool"), "test", "rules", path],
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
