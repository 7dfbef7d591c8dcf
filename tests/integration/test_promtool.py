"""promtool, which comes with Prometheus, accepts our page and our queries."""

import math
import subprocess

import pytest
from support.markdown import blocks
from support.series import NOON, Scene
from support.tools import ROOT, tool

from bridge.model import (
    Batch,
    Client,
    CommandSent,
    CommandType,
    Config,
    Epoch,
    Gpu,
    ImageResult,
    Performance,
    Prediction,
    Resources,
    Scalars,
)


@pytest.fixture
def promtool():
    """The program, or a skipped test that says how to get it."""
    return tool("promtool")


def told():
    """Return a bridge whose sessions have told everything there is."""
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
        input=told().page(),
        text=True,
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_notices_a_broken_page(promtool):
    """The check above can fail: a page with a family told twice is refused."""
    page = told().page()

    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=page + page,
        text=True,
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert done.returncode != 0


def test_promtool_accepts_the_queries_of_the_documentation(promtool, tmp_path):
    """Each ready query parses as PromQL, its Grafana variables filled in."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    rules = ["groups:", "- name: documentation", "  rules:"]
    for number, query in enumerate(blocks(page, "promql")):
        flat = " ".join(query.replace("$__interval", "1m").split())
        rules += [f"  - record: documentation:query:{number}", f"    expr: >-\n      {flat}"]
    path = tmp_path / "rules.yaml"
    path.write_text("\n".join(rules) + "\n")

    done = subprocess.run(
        [promtool, "check", "rules", path], text=True, capture_output=True, check=False, timeout=30
    )

    assert done.returncode == 0, done.stderr
    assert "6 rules found" in done.stdout


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
        timeout=30,
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
        [promtool, "test", "rules", test], text=True, capture_output=True, check=False, timeout=30
    )

    assert done.returncode == 0, done.stdout + done.stderr
