"""The examples and the demo, run as a reader would run them."""

import json
import math
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.bridges import running_bridge
from support.tools import missing

ROOT = Path(__file__).parents[2]


def run(*command: str) -> str:
    """Run a command, which must succeed, and return its output."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith("TRAINBRIDGE_")}
    environment["OMP_NUM_THREADS"] = "1"  # several would wait for each other on a busy machine
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("script", "flags", "batches"),
    [
        ("numpy_loop.py", ("--epochs", "2", "--batches", "30"), 60),
        ("pytorch_loop.py", ("--epochs", "1"), 44),
    ],
)
def test_an_example_arrives_whole(tmp_path, script, flags, batches):
    """Each example trains for real, and all of its batches and some images reach the bridge."""
    if script.startswith("pytorch") and find_spec("torch") is None:
        missing("PyTorch is not installed here", "`make torch` gets it, into .venv")
    with running_bridge(tmp_path / "state") as bridge:
        said = run(f"examples/{script}", "--address", bridge.grpc, *flags)

        session_id = said.split(":")[0]
        assert f"{batches} of {batches} batches acknowledged" in said
        assert bridge.total("training_batches_total", session_id=session_id) == batches
        assert bridge.total("training_images_total", session_id=session_id, result="stored") >= 16


LANGUAGE_MODEL = {
    "steps": 120, "batch_size": 8, "context": 32, "width": 32, "layers": 1, "warmup": 10, "validate_every": 40,
}  # fmt: skip  # one line is enough
"""A small one: seconds on one core."""

UNIFORM_LOSS = math.log(100)
"""About that of a model that has learned nothing: the text has a hundred different characters."""


def test_the_language_model_learns_and_is_reported_by_steps(tmp_path):
    """Steps, tokens, the losses of both splits, phases, text and configuration arrive as they were trained."""
    if find_spec("torch") is None:
        missing("PyTorch is not installed here", "`make torch` gets it, into .venv")
    flags = [
        word
        for name, value in LANGUAGE_MODEL.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    with running_bridge(tmp_path / "state") as bridge:
        said = run("examples/language_model.py", "--address", bridge.grpc, *flags)

        session_id = said.split(":")[0]
        steps = LANGUAGE_MODEL["steps"]

        def value(series, **labels):
            return bridge.total(series, session_id=session_id, **labels)

        assert f"{steps} of {steps} batches acknowledged" in said
        assert value("training_batches_total") == steps
        assert value("training_step") == steps - 1
        assert value("training_tokens_total") == steps * 8 * 32
        for split in ("train", "validation"):
            assert 0 < value("training_metric", name="loss", split=split) < UNIFORM_LOSS - 1
        assert value("training_learning_rate") == pytest.approx(3e-4, rel=0.05)
        assert value("training_gradient_norm") > 0
        assert value("training_events_total", name="sample") == 3
        assert value("training_phase_seconds_total", phase="validation") > 0
        assert value("training_phase_seconds_total", phase="checkpoint") > 0
        assert value("training_session_status", status="completed") == 1
        details = json.loads(bridge.get(f"/api/v1/sessions/{session_id}"))
        assert details["config"]["context"] == LANGUAGE_MODEL["context"]
        events = json.loads(bridge.get(f"/api/v1/sessions/{session_id}/events"))
        assert [len(event["message"]) for event in events["events"]] == [96, 96, 96]


def test_the_demo_checks_itself():
    """`trainbridge demo --exit` trains, compares what it sent with what arrived, and ends with 0."""
    said = run("-m", "bridge", "demo", "--exit", "--epochs", "1",
               "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")  # fmt: skip  # flags beside their values

    assert "What was sent has arrived" in said
    sent, counted, acknowledged = re.search(
        r"batches: (\d+) sent = (\d+) counted on /metrics = (\d+) acknowledged", said
    ).groups()
    assert sent == counted == acknowledged == "44"
    assert re.search(r"images: \d\d+ kept = (\d+) in the index = \1 readable as JPEG", said)


def test_a_demo_that_cannot_start_says_why(tmp_path):
    """A port in use is reported in one clear sentence with a failure status, not as a traceback."""
    with running_bridge(tmp_path / "state") as bridge:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "bridge",
                "demo",
                "--exit",
                "--grpc-address",
                "127.0.0.1:0",
                "--http-address",
                bridge.http,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode != 0
    assert f"--http-address {bridge.http} is taken" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
