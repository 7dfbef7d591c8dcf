"""Two ranks of one training, in real process groups of torch.distributed."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from support.tools import missing

RANK = """
import json, logging, os, sys, threading, time
from datetime import timedelta

import torch.distributed as distributed

from bridge.client import CommandType, Status, TrainingSession
from bridge.client.collectives import torch_collective
from bridge.client.ranks import RankCheck
from bridge.client.testing import RecordingBridge

rank, store, backend, scenario = int(sys.argv[1]), sys.argv[2], sys.argv[3] or None, sys.argv[4]
said = {}

def report(**values):
    said.update(values)

def join(seconds=60):
    distributed.init_process_group(
        backend, init_method=f"file://{store}", rank=rank, world_size=2,
        timeout=timedelta(seconds=seconds),
    )

def late_group():
    check = RankCheck("zero")
    held_back = []
    sending = threading.Thread(target=lambda: held_back.append(check.wait()))
    sending.start()
    report(before=check.reports)
    join()
    report(after=check.settle())
    sending.join()
    report(connects=held_back, world_size=check.process.world_size)

def stop():
    join()
    bridge = RecordingBridge()
    session = TrainingSession(bridge)
    for step in range(1000):
        session.log_batch(0.5, epoch=0, batch=step)
        if rank == 0 and step == 7:
            bridge.send_command(CommandType.STOP_TRAINING)
        if session.agree_to_stop():
            break
    report(step=step, should_stop=session.should_stop)
    session.close()

def pause():
    join()
    bridge = RecordingBridge()
    session = TrainingSession(bridge)
    session.log_batch(0.5, epoch=0, batch=0)
    def resume():
        while Status.PAUSED not in [status for status, _ in bridge.statuses]:
            time.sleep(0.05)
        bridge.send_command(CommandType.RESUME_TRAINING)
    if rank == 0:
        bridge.send_command(CommandType.PAUSE_TRAINING)
        threading.Thread(target=resume, daemon=True).start()
    report(stops=session.agree_to_stop(), was_idle=session._phases.totals["idle"] > 0)
    report(again=session.agree_to_stop())
    session.close()

def own_values():
    join()
    ranks = torch_collective()
    report(
        numbers=[ranks.number_of_zero(number) for number in (0, 1, 2**31 - 1 - rank)],
        text=ranks.bytes_of_zero(b"zero" if rank == 0 else bytes(4)).decode(),
        all=[part.decode() for part in ranks.all_gather(b"rank %d" % rank)],
    )

def training(control):
    import torch
    from torch.nn.parallel import DistributedDataParallel
    torch.manual_seed(0)
    model = DistributedDataParallel(torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.controls(optimizer=optimizer)
        rates = []
        for step in range(60):
            loss = model(torch.full((2, 4), rank + 1.0)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            session.log_batch(loss.detach(), epoch=0, batch=step)
            rates.append(optimizer.param_groups[0]["lr"])
            if rank == 0 and step == 20:
                bridge.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.01)
            if rank == 0 and step == 40:
                bridge.send_command(CommandType.STOP_TRAINING)
            if control(session):
                break
    return dict(
        steps=len(rates),
        changed=rates.index(0.01) if 0.01 in rates else None,
        weights=[float(each) for each in model.module.weight.flatten()],
        answers=[(answer.applied, answer.message) for answer in bridge.answers],
        end=[message for _, message in bridge.statuses[-1:]],
    )

def trainings():
    join()
    report(
        asking=training(lambda session: session.should_stop),
        agreeing=training(lambda session: session.agree_to_stop()),
    )

def absent():
    join(seconds=3)
    bridge = RecordingBridge()
    session = TrainingSession(bridge)
    session.agree_to_stop()
    if rank == 0:
        sys.stdin.read()  # does not take part
        return
    begun = time.monotonic()
    report(answer=session.agree_to_stop(), waited=time.monotonic() - begun)

logging.basicConfig(level="WARNING")
globals()[scenario]()
print(json.dumps(said), flush=True)
if distributed.is_initialized() and scenario != "absent":
    distributed.destroy_process_group()
if scenario == "trainings":
    # Threads of gloo outlive the group of a DistributedDataParallel, and may still hold tensors when the interpreter
    # ends: that aborts the process (PyTorch #179291). Of the SDK no thread is left, so nothing of it can.
    assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
    os._exit(0)
"""


@pytest.fixture
def both(tmp_path):
    """Return what runs both ranks to their ends: a list of what each has said."""
    if find_spec("torch") is None:
        missing("PyTorch is not installed here", "`make torch` gets it, into .venv")
    ranks = []

    def run(scenario, backend="gloo"):
        for rank in (0, 1):
            command = (sys.executable, "-c", RANK, str(rank), str(tmp_path / "store"))
            ranks.append(
                subprocess.Popen(
                    (*command, backend, scenario),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        said = [rank.communicate(timeout=120) for rank in reversed(ranks)]  # rank 1 first
        for rank, (out, err) in zip(reversed(ranks), said, strict=True):
            assert out, err
            assert rank.returncode == 0, err
        return [json.loads(out) for out, _ in reversed(said)]

    yield run
    for rank in ranks:
        rank.kill()
        rank.wait()


def test_a_session_built_before_the_process_group_is_one_session(both):
    """Nothing has named the ranks by then; rank 1 never connects, rank 0 does."""
    zero, one = both("late_group")

    assert zero == {"before": True, "after": True, "connects": [True], "world_size": 2}
    assert one == {"before": True, "after": False, "connects": [False], "world_size": 2}


def test_a_stop_reaches_both_ranks_at_the_same_step(both):
    """Else the rank that goes on waits for a gradient of one that has left."""
    zero, one = both("stop")

    assert zero == one
    assert 7 <= zero["step"] < 999
    assert zero["should_stop"]


@pytest.mark.parametrize("backend", ["gloo", "cpu:gloo", ""])
def test_ranks_reach_each_other(both, backend):
    """By whichever backend torch was asked for: rank 0 decides, and each hears all."""
    zero, one = both("own_values", backend)

    assert zero == one
    assert zero["numbers"] == [0, 1, 2**31 - 1]
    assert (zero["text"], zero["all"]) == ("zero", ["rank 0", "rank 1"])


def test_a_pause_holds_both_ranks(both):
    """Rank 1 waits as long as rank 0 is paused, and not after that."""
    zero, one = both("pause")

    assert zero == one == {"stops": False, "was_idle": True, "again": False}


def test_both_ranks_obey_at_one_step_or_not_at_all(both):
    """With the same weights in either case. Asked alone, rank 0 says why not; agreed on, both ends are those of a run."""
    ranks = both("trainings")

    zero, one = (rank["asking"] for rank in ranks)
    assert zero["weights"] == one["weights"]
    assert zero["steps"] == one["steps"] == 60
    assert zero["changed"] is one["changed"] is None
    (stop, why), (rate, _) = zero["answers"]
    assert not stop
    assert not rate
    assert "call session.agree_to_stop() on every rank" in why

    zero, one = (rank["agreeing"] for rank in ranks)
    assert zero["weights"] == one["weights"]
    assert zero["changed"] == one["changed"] == 21
    assert zero["steps"] == one["steps"] == 41
    assert zero["answers"] == [[True, "0.01, was 0.1"], [True, ""]]
    assert zero["end"] == ["stopped by command"]
    assert one["answers"] == []


def test_a_rank_that_does_not_take_part_is_waited_for_as_long_as_the_group_waits(both):
    """And then training is not ended by telemetry."""
    _, one = both("absent")

    assert one["answer"] is False
    assert 1 < one["waited"] < 30
