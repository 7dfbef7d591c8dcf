"""Two ranks of one training, in real process groups of torch.distributed."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from support.tools import missing

RANK = """
import json, logging, sys, threading, time
from datetime import timedelta

import torch.distributed as distributed

from bridge.client import CommandType, TrainingSession
from bridge.client.ranks import RankCheck, agree, wait_together
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
        if agree(session.should_stop):
            break
    report(step=step)
    session.close()

def pause():
    join()
    paused = threading.Event()
    if rank == 0:
        paused.set()
    def wait(seconds):
        said["rounds"] = said.get("rounds", 0) + 1
        if said["rounds"] == 3:
            paused.clear()
    report(was_paused=wait_together(paused.is_set, wait), again=wait_together(paused.is_set, wait))

def own_values():
    join()
    report(answers=[agree(True), agree(False), agree(rank == 0), agree(rank == 1)])

def absent():
    join(seconds=3)
    agree(False)
    if rank == 0:
        sys.stdin.read()  # does not take part
        return
    begun = time.monotonic()
    report(answer=agree(False), waited=time.monotonic() - begun)

logging.basicConfig(level="WARNING")
globals()[scenario]()
print(json.dumps(said), flush=True)
if distributed.is_initialized() and scenario != "absent":
    distributed.destroy_process_group()
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
        for out, err in said:
            assert out, err
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


@pytest.mark.parametrize("backend", ["gloo", "cpu:gloo", ""])
def test_rank_0_decides(both, backend):
    """Whatever the others say, and whichever backend torch was asked for."""
    zero, one = both("own_values", backend)

    assert zero["answers"] == one["answers"] == [True, False, True, False]


def test_a_pause_holds_both_ranks(both):
    """Rank 1 waits as long as rank 0 is paused, and not after that."""
    zero, one = both("pause")

    assert zero == {"was_paused": True, "again": False, "rounds": 3}
    assert one == {"was_paused": True, "again": False}


def test_a_rank_that_does_not_take_part_is_waited_for_as_long_as_the_group_waits(both):
    """And then training is not ended by telemetry."""
    _, one = both("absent")

    assert one["answer"] is False
    assert 1 < one["waited"] < 30
