"""promtool, which comes with Prometheus, accepts our page and our queries."""

import json
import math
import subprocess

import pytest
from support.boards import BOARDS, DURATIONS, all_queries, filled
from support.markdown import blocks
from support.series import NOON, Scene
from support.tools import ROOT, tool

from bridge.hardware import Gpu, Resources
from bridge.lifecycle import CommandSent
from bridge.model import Batch, Client, Config, Epoch, ImageResult, Performance, Prediction, Scalars
from bridge.protocol import CommandType


@pytest.fixture
def promtool():
    """The program, or a skipped test that says how to get it."""
    return tool("promtool")


def bridge_with_everything():
    """Return a bridge whose sessions have reported everything there is."""
    scene = Scene()
    for name in ("run-1", "run-2"):
        client = Client("sdk", "1", labels={"team": 'a"b\\c\nd'})
        session = scene.session(name, client, Config(3, 10, 32, "m", "d", ("cat", "dog")))
        gpu = Gpu(0, "GPU-1", 0.5, 1.0, 2.0, 3.0, 4.0)
        scene.tell(
            session,
            Batch(1, 2, 0.5, (), 0, (Prediction(0, 0.9), Prediction(1, 0.2)), (0, 900), 0.1),
            Batch(1, 3, math.nan),
            Epoch(1, math.inf, 0.9, 0.6, 0.8, 0.01),
            Performance(0.1, 2.0, 3.0, 4.0, 5.0, Resources(1.0, 2.0, (gpu,))),
            Scalars(1, 2, {"grad/norm": -math.inf}),
            CommandSent("c1", CommandType.PAUSE_TRAINING, {}),
        )
        scene.settle(name, ImageResult.STORED, 1, NOON)
    return scene


def test_promtool_accepts_the_page(promtool):
    """It parses, and its linter has nothing to say of any name, type, unit or help."""
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=bridge_with_everything().page(),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_notices_a_broken_page(promtool):
    """The check above can fail: a page with a family twice is refused."""
    page = bridge_with_everything().page()

    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=page + page,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode != 0


def test_promtool_accepts_the_queries_of_the_documentation(promtool, tmp_path):
    """Each ready query parses as PromQL, its Grafana variables filled in."""
    check_queries(promtool, tmp_path, queries())


def test_promtool_accepts_the_queries_of_the_boards(promtool, tmp_path):
    """Those of variables and annotations too: each parses as PromQL, its Grafana variables filled in."""
    asked = [filled(one.expr, DURATIONS) for board in BOARDS for one in all_queries(board)]

    check_queries(promtool, tmp_path, asked)


def check_queries(promtool, folder, asked):
    """Have promtool parse queries, as recording rules."""
    rules = [
        {"record": f"query:{number}", "expr": query}
        for number, query in enumerate(dict.fromkeys(asked))
    ]
    path = folder / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))

    done = subprocess.run(
        [promtool, "check", "rules", path], text=True, capture_output=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def queries():
    """Return the ready queries of the documentation, each in one line."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    return [
        " ".join(query.replace("$__interval", "1m").split()) for query in blocks(page, "promql")
    ]


def dcgm(name, uuid, value, **more):
    """Return a series as DCGM's exporter labels it, in a cluster."""
    labels = {
        "gpu": "0",
        "UUID": uuid,
        "device": "nvidia0",
        "modelName": "NVIDIA H100",
        "Hostname": "node-1",
        "pod": "dcgm-exporter-x",
    } | more
    text = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {"series": f"{name}{{{text}}}", "values": f"{value}x5"}


def training(session_id, gpu, uuid):
    """Return a series of a session's GPU, as a bridge writes it."""
    labels = f'session_id="{session_id}",gpu="{gpu}",gpu_uuid="{uuid}",instance="bridge:8080"'
    return {"series": f"training_gpu_memory_total_bytes{{{labels}}}", "values": "8e10x5"}


def test_the_gpus_of_a_session_join_with_dcgm(promtool, tmp_path):
    """By UUID for a card, with GPU_I_ID for a MIG slice; two sessions may share a card."""
    (join,) = [query for query in queries() if "GR_ENGINE_ACTIVE" in query]
    (errors,) = [query for query in queries() if "XID_ERRORS" in query]
    slices = {"GPU_I_PROFILE": "1g.10gb"}
    series = [
        training("run-1", 1, "GPU-a"),
        training("run-2", 1, "GPU-a"),
        training("run-3", 0, "MIG-GPU-b/13/0"),
        training("original", 0, ""),
        dcgm("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "GPU-a", 0.25),
        dcgm("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "GPU-a", 0.25, pod="an-older-exporter"),
        dcgm("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "GPU-b", 0.5, GPU_I_ID="13", **slices),
        dcgm("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "GPU-b", 0.75, GPU_I_ID="14", **slices),
        dcgm("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "GPU-c", 1),
        dcgm("DCGM_FI_DEV_XID_ERRORS", "GPU-a", 0),
        dcgm("DCGM_FI_DEV_XID_ERRORS", "GPU-b", 79),
    ]
    expected = {
        join: {
            '{session_id="run-1",UUID="GPU-a"}': 0.25,
            '{session_id="run-2",UUID="GPU-a"}': 0.25,
            '{session_id="run-3",UUID="GPU-b",GPU_I_ID="13"}': 0.5,
        },
        errors: {'{session_id="run-3",UUID="GPU-b"}': 79},
    }
    tests = [
        {
            "expr": query,
            "eval_time": "1m",
            "exp_samples": [
                {"labels": labels, "value": value} for labels, value in samples.items()
            ],
        }
        for query, samples in expected.items()
    ]
    path = tmp_path / "test.yaml"
    path.write_text(
        json.dumps(
            {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]}
        )
    )

    done = subprocess.run(
        [promtool, "test", "rules", path], text=True, capture_output=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr


LOSSES = (-1.5, 0.0, -0.0, 2.0, -3e38, 3e38, 1e-45, -1e-45, math.nan, math.inf, -math.inf, -7.0)


@pytest.mark.parametrize("count", range(len(LOSSES) + 1))
def test_promtool_accepts_any_losses(promtool, count):
    """Negative ones, zeros, the largest and the smallest, and non-finite ones, in any mixture."""
    scene = Scene()
    session = scene.session()
    scene.tell(session, *(Batch(0, index, loss) for index, loss in enumerate(LOSSES[:count])))

    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=scene.page(),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


MEAN = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'training_batch_loss_sum{{session_id="mixed"}}', values: '0+60x10'}}
      - {{series: 'training_batch_loss_count{{session_id="mixed"}}', values: '0+30x10'}}
      - {{series: 'training_batch_loss_negative_sum{{session_id="mixed"}}', values: '0+120x10'}}
      - {{series: 'training_batch_loss_negative_count{{session_id="mixed"}}', values: '0+10x10'}}
      - {{series: 'training_batch_loss_sum{{session_id="plain"}}', values: '0+60x10'}}
      - {{series: 'training_batch_loss_count{{session_id="plain"}}', values: '0+30x10'}}
      - {{series: 'training_batch_loss_sum{{session_id="negative"}}', values: '0x10'}}
      - {{series: 'training_batch_loss_count{{session_id="negative"}}', values: '0x10'}}
      - {{series: 'training_batch_loss_negative_sum{{session_id="negative"}}', values: '0+120x10'}}
      - {{series: 'training_batch_loss_negative_count{{session_id="negative"}}', values: '0+10x10'}}
    promql_expr_test:
      - expr: round(mean * 1000)
        eval_time: 10m
        exp_samples:
          - {{labels: '{{session_id="mixed"}}', value: -1500}}
          - {{labels: '{{session_id="negative"}}', value: -12000}}
          - {{labels: '{{session_id="plain"}}', value: 2000}}
"""


def test_the_documented_mean_is_the_mean(promtool, tmp_path):
    """Of a session whose losses have one sign, the other, or both."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    [query] = [one for one in blocks(page, "promql") if "_negative_sum" in one]
    rules, test = tmp_path / "rules.yaml", tmp_path / "test.yaml"
    flat = " ".join(query.split())
    rules.write_text(
        f"groups:\n- name: documentation\n  rules:\n  - record: mean\n    expr: >-\n      {flat}\n"
    )
    test.write_text(MEAN.format(rules=rules))

    done = subprocess.run(
        [promtool, "test", "rules", test], text=True, capture_output=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
