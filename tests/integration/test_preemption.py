"""A job that is preempted over and over, as a real process against a real bridge."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from support.bridges import running_bridge
from support.tools import ROOT

TRAINER = """
import json, os, sys, time
from pathlib import Path
from bridge.client import TrainingSession

checkpoint = Path(sys.argv[1])
place = json.loads(checkpoint.read_text()) if checkpoint.exists() else None
epoch, batch = place or (0, 0)
with TrainingSession(model="m", session_id="auto", resume_from=place, close_seconds=60) as session:
    while epoch < 4:
        session.log_batch(1.0 / (1 + epoch), epoch=epoch, batch=batch)
        epoch, batch = (epoch, batch + 1) if batch < 9 else (epoch + 1, 0)
        if batch == 0:
            with session.phase("checkpoint"):
                checkpoint.write_text(json.dumps((epoch, batch)))
            session.flush(60)
            print(session.session_id, session.attempt, flush=True)
            if epoch < 4:
                time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")
def test_a_job_that_is_preempted_three_times_is_one_run(tmp_path):
    """Requeued under its number, it goes on from its checkpoint; what each attempt did stays, and how it ended."""
    with running_bridge(tmp_path / "state") as bridge:
        for number in (1, 2, 3):
            with requeued(tmp_path, bridge, number) as process:
                assert process.stdout.readline().split() == ["m-slurm-4711", str(number)]
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == -signal.SIGTERM
        with requeued(tmp_path, bridge, 4) as process:
            assert process.stdout.readline().split() == ["m-slurm-4711", "4"]
            assert process.wait(60) == 0
        run = bridge.client.session("m-slurm-4711")
        phases = bridge.metrics()["training_phase_seconds_total"]

    assert [(each.attempt, each.state, each.first, each.last) for each in run.attempts] == [
        (1, "terminated", "0-0", "0-9"),
        (2, "terminated", "1-0", "1-9"),
        (3, "terminated", "2-0", "2-9"),
        (4, "completed", "3-0", "3-9"),
    ]
    assert [each.batches for each in run.attempts] == [10, 10, 10, 10]
    assert {"startup", "training", "lost"} <= {dict(labels)["phase"] for labels in phases}


@contextmanager
def requeued(folder, bridge, number):
    """Run the trainer as SLURM runs a job for the nth time: under the same number, in a new process."""
    program = folder / "trainer.py"
    program.write_text(TRAINER)
    process = subprocess.Popen(
        [sys.executable, program, folder / "checkpoint.json"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "TRAINBRIDGE_ADDRESS": bridge.grpc,
            "SLURM_JOB_ID": "4711",
            "SLURM_RESTART_COUNT": str(number - 1),
        },
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
