"""A loop of JAX, and arrays that its steps donate."""

import functools
import subprocess
import sys

import jax
from support.tools import ROOT

from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge


def test_the_example_arrives_whole(real_bridge):
    """It trains for real, and all of its batches and some images reach the bridge."""
    ran = subprocess.run(
        [sys.executable, "examples/jax_loop.py", "--address", real_bridge.grpc, "--epochs", "2"],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "80 of 80 batches acknowledged" in ran.stdout
    name = ran.stdout.split(":")[0]
    assert real_bridge.total("training_batches_total", session_id=name) == 80
    assert real_bridge.total("training_images_total", session_id=name, result="stored") >= 16


def test_values_are_those_of_the_call():
    """Also where the next step is given the memory of what was logged."""

    @functools.partial(jax.jit, donate_argnums=0)
    def step(value):
        return value + 1

    recorder = RecordingBridge()
    with TrainingSession(recorder, close_seconds=60) as session:
        value = jax.numpy.zeros(())
        for batch in range(50):
            session.log_batch(value, epoch=0, batch=batch)
            value = step(value)
        session.flush(60)

    lost = session.stats.left_out.get("loss: unreadable", 0)
    arrived = [batch.loss for batch in recorder.batches]
    assert len(arrived) == 50
    assert all(loss in (None, float(index)) for index, loss in enumerate(arrived))
    assert arrived.count(None) == lost
