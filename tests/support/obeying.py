"""Programs of two ranks that are given a learning rate, and then stopped."""

import os
import subprocess
import sys

from support.tools import ROOT
from support.waiting import until_true

from bridge.client import CommandType
from bridge.wire import metrics_pb2 as wire


def ranks_that_obey(folder, bridge, code, *launcher):
    """Run a program of two ranks until both have stopped; return what each has printed behind the word "rank"."""
    bridge.commands = [
        wire.ControlCommand(
            type=CommandType.CHANGE_LEARNING_RATE,
            parameters={"learning_rate": "0.001"},
            command_id="rate",
        )
    ]
    program = folder / "program.py"
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "frameworks")]
    program.write_text(code.replace("{paths}", repr(paths)))
    process = subprocess.Popen(
        [sys.executable, *launcher, str(program)],
        env={**os.environ, "TRAINBRIDGE_ADDRESS": bridge.address, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until_true(lambda: bridge.of("command_result") or process.poll() is not None)
        bridge.commands = [wire.ControlCommand(type=CommandType.STOP_TRAINING, command_id="stop")]
        out, _ = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, out
    answers = [(each.command_id, each.applied) for each in bridge.of("command_result")]
    assert answers == [("rate", True), ("stop", True)], answers
    assert {each.session_id for each in bridge.registrations} == {"run"}
    assert bridge.of("status_update")[-1].ending == "stopped", bridge.of("status_update")[-1]
    ranks = sorted(line.split()[1:] for line in out.splitlines() if line.startswith("rank"))
    assert [rank[0] for rank in ranks] == ["0", "1"], out
    return ranks
