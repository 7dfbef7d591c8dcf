"""The examples and the demo, run as a reader would run them."""

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
