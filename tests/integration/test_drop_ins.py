"""Scripts of other trackers with a changed import, in processes of their own, and what a real bridge then shows."""

import os
import subprocess
import sys

import pytest
from support.bridges import running_bridge
from support.waiting import until_true

WRITER = """
import numpy as np
from bridge.client.compat.tensorboard import SummaryWriter

writer = SummaryWriter("runs/digits", session_id="digits")
for step in range(50):
    writer.add_scalar("Loss/train", 1 / (step + 1), step)
    writer.add_scalar("Accuracy/test", step / 50, step)
writer.add_images("digits", np.zeros((4, 1, 8, 8), np.uint8), 50)
"""

FAILING = """
import bridge.client.compat.wandb as wandb

wandb.init(id="failing", config={"lr": 0.5})
wandb.log({"loss": 0.5})
raise RuntimeError("out of luck")
"""

OBEDIENT = """
import time
import bridge.client.compat.wandb as wandb
from bridge.client import CommandType

rates = []
with wandb.init(id="obedient") as run:
    run.session.on(CommandType.CHANGE_LEARNING_RATE, lambda given: rates.append(given))
    while not run.session.should_stop:
        wandb.log({"loss": 0.5})
        time.sleep(0.01)
print(rates)
"""


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    """Return a bridge for all of them."""
    with running_bridge(tmp_path_factory.mktemp("bridge") / "state") as running:
        yield running


@pytest.fixture
def start(bridge, tmp_path):
    """Return a function that starts a script in a folder of its own."""
    environment = {
        n: v for n, v in os.environ.items() if not n.startswith(("TRAINBRIDGE_", "WANDB"))
    }
    environment["TRAINBRIDGE_ADDRESS"] = bridge.grpc
    started = []

    def start_script(script):
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_script
    for process in started:
        process.kill()
        process.communicate()


def test_a_writer_that_nobody_closes(bridge, start):
    """All arrives as the process ends: batches, curves, and the pictures that waited for a loss."""
    process = start(WRITER)
    _, said = process.communicate(timeout=100)

    assert (process.returncode, said) == (0, "")
    details = bridge.client.session("digits")
    assert (details.status, details.model_name, details.batches) == ("completed", "digits", 51)
    until_true(
        lambda: bridge.total("training_images_total", session_id="digits", result="stored") == 4
    )
    [accuracy] = [
        value
        for labels, value in bridge.metrics()["training_metric"].items()
        if {("name", "Accuracy"), ("split", "test")} <= labels
    ]
    assert accuracy == pytest.approx(0.98)


def test_an_exception_that_ends_the_script(bridge, start):
    """FAILED, with what it was, though nothing in the script says so."""
    process = start(FAILING)
    process.communicate(timeout=100)

    assert process.returncode == 1
    details = bridge.client.session("failing")
    assert (details.status, details.status_message) == ("failed", "RuntimeError: out of luck")
    assert details.batches == 1


def test_commands_reach_the_script(bridge, start):
    """By the session of the run: another learning rate, then a stop that ends it cleanly."""
    process = start(OBEDIENT)
    until_true(lambda: bridge.total("training_batches_total", session_id="obedient") > 0)
    bridge.client.submit_command("obedient", "CHANGE_LEARNING_RATE", {"learning_rate": 0.25})
    until_true(
        lambda: [c.state for c in bridge.client.commands("obedient")] == ["applied"],
        what="the learning rate is applied",
    )
    bridge.client.submit_command("obedient", "STOP_TRAINING")
    out, said = process.communicate(timeout=100)

    assert (process.returncode, said) == (0, "")
    assert "0.25" in out
    assert bridge.client.session("obedient").status == "stopped"
