"""Real loops with an Accelerator."""

import json
import os
import subprocess
import sys

import pytest
import torch
from accelerate import Accelerator
from support.arrived import check_arrived
from support.obeying import has_paused, pause_and_resume, ranks_that_obey
from support.tools import ROOT
from torch.utils.data import DataLoader, TensorDataset

from bridge.client import CommandType, Status
from bridge.client.integrations.accelerate import TrainbridgeTracker
from bridge.client.testing import RecordingBridge

STEPS = 4


def loop(tracker, *, epochs=2, on_step=lambda step: None, may_stop=False, steps=STEPS):
    """Train as a script does, with one line for the tracker, and two that obey."""
    accelerator = Accelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("images", config={"width": 8, "hub_token": "hidden"})
    model = torch.nn.Linear(8, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(
        TensorDataset(torch.rand(4 * steps, 8), torch.randint(0, 5, (4 * steps,))), batch_size=4
    )
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    tracker.session.controls(optimizer=optimizer)
    step = 0
    for epoch in range(epochs):
        for inputs, labels in loader:
            on_step(step)
            loss = torch.nn.functional.cross_entropy(model(inputs), labels)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            accelerator.log({"train_loss": loss, "grad_norm": 2.0}, step=step)
            step += 1
            if may_stop and tracker.session.agree_to_stop():
                accelerator.end_training()
                return step, optimizer.param_groups[0]["lr"]
        accelerator.log({"epoch": epoch, "val_loss": 0.5, "val_acc": 0.75}, step=step)
    accelerator.end_training()
    return step, optimizer.param_groups[0]["lr"]


def test_what_a_script_logs_is_reported(bridge):
    """Steps with their loss, epochs with their validation, other numbers by name, the configuration, the end."""
    loop(TrainbridgeTracker(address=bridge.address, session_id="run", close_seconds=60))

    assert [b.global_step for b in bridge.of("batch_data")] == list(range(2 * STEPS))
    assert all(b.batch_loss > 0 for b in bridge.of("batch_data"))
    assert [e.epoch for e in bridge.of("epoch_data")] == [0, 1]
    assert {name for scalars in bridge.of("scalar_data") for name in scalars.values} == {
        "grad_norm"
    }
    config = bridge.registrations[0].config_json
    assert json.loads(config) == {"width": 8}
    assert len(bridge.registrations) == 1
    assert bridge.of("status_update")[-1].status == Status.COMPLETED


def test_a_run_reaches_a_bridge_whole(real_bridge):
    """Its batches and its end, on /metrics and in the API."""
    loop(TrainbridgeTracker(address=real_bridge.grpc, session_id="accelerate", close_seconds=60))

    check_arrived(real_bridge, "accelerate", 2 * STEPS)


def test_a_loop_obeys_through_the_session():
    """A learning rate and a stop, with the two lines that the docs name."""
    recorder = RecordingBridge()

    def command(step):
        if step == 1:
            recorder.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate="0.01")
        elif step == 3:
            recorder.send_command(CommandType.STOP_TRAINING)

    tracker = TrainbridgeTracker(address=recorder, session_id="run", close_seconds=60)
    steps, rate = loop(tracker, on_step=command, may_stop=True)

    assert steps == 4
    assert rate == pytest.approx(0.01)
    assert [answer.applied for answer in recorder.answers] == [True, True]
    assert recorder.statuses[-1][0] is Status.COMPLETED


def test_a_pause_holds_the_loop_until_it_may_go_on():
    """And the page says so."""
    recorder, threads = RecordingBridge(), []

    def command(step):
        if step == 1:
            threads.append(pause_and_resume(recorder))

    tracker = TrainbridgeTracker(address=recorder, session_id="run", close_seconds=60)
    steps, _ = loop(tracker, epochs=1, on_step=command, may_stop=True)
    threads[0].join()

    assert has_paused(recorder)
    assert steps == STEPS


@pytest.mark.parametrize("error", [RuntimeError("no data"), KeyboardInterrupt()])
def test_what_ends_a_program_ends_its_run(bridge, tmp_path, error):
    """Accelerate has no word for it: the run ends with the process, and by what has ended that."""
    program = tmp_path / "program.py"
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "frameworks")]
    program.write_text(
        f"import sys\nsys.path[:0] = {paths}\n"
        "from test_accelerate import loop\n"
        "from bridge.client.integrations.accelerate import TrainbridgeTracker\n"
        f"def fail(step):\n    if step == 2: raise {error!r}\n"
        "loop(TrainbridgeTracker(session_id='run', close_seconds=60), on_step=fail)\n"
    )
    ran = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "TRAINBRIDGE_ADDRESS": bridge.address},
        capture_output=True,
        text=True,
        check=False,
    )

    last = bridge.of("status_update")[-1]
    assert ran.returncode != 0
    assert last.status == Status.FAILED, ran.stderr
    assert last.ending == ("interrupted" if isinstance(error, KeyboardInterrupt) else "")
    assert len(bridge.of("batch_data")) == 2


def test_images_are_those_of_a_step():
    """As Accelerate's other trackers take them: under a name, many at once."""
    recorder = RecordingBridge()
    tracker = TrainbridgeTracker(address=recorder, close_seconds=60)
    tracker.log_images({"samples": torch.rand(2, 3, 8, 8)}, step=3)
    tracker.finish()

    assert recorder.batches[0].step == 3
    assert len(recorder.batches[0].images) == 2


DDP = """
import sys
sys.path[:0] = {paths}
from support.obeying import say_rank
from test_accelerate import loop
from bridge.client.integrations.accelerate import TrainbridgeTracker
import torch.distributed as distributed

tracker = TrainbridgeTracker(session_id="run", close_seconds=60)
steps, rate = loop(tracker, epochs=10_000, may_stop=True, steps=16)
import os
say_rank(os.environ['RANK'], steps, rate)
os._exit(0)  # a rank whose process group was destroyed may abort as it exits, inside of torch
"""


def test_several_ranks_obey_together(tmp_path, bridge):
    """A learning rate holds on both ranks, a stop ends both at one step with status 0, and one run is reported."""
    ranks = ranks_that_obey(
        tmp_path, bridge, DDP, "-m", "torch.distributed.run", "--nproc-per-node=2"
    )

    assert ranks[0][1:] == ranks[1][1:]
    assert float(ranks[0][2]) == 0.001
