"""Loops that are given commands: programs of two ranks, and loops that pause."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from support.tools import ROOT
from support.waiting import until_true

from bridge.client import CommandType, Status
from bridge.wire import metrics_pb2 as wire

SAID = "SAID_BY_RANKS"
"""The variable with the folder in which each rank says something: two that print share one pipe, and mix lines."""


def say_rank(rank, *said):
    """Say something as this rank, for the test to read."""
    (Path(os.environ[SAID]) / str(rank)).write_text(" ".join(map(str, said)))


def ranks_that_obey(folder, bridge, code, *launcher):
    """Run a program of two ranks until both have stopped; return the number of each and what it has said."""
    bridge.commands = [
        wire.ControlCommand(
            type=CommandType.CHANGE_LEARNING_RATE,
            parameters={"learning_rate": "0.001"},
            command_id="rate",
        )
    ]
    program, said = folder / "program.py", folder / "said"
    said.mkdir()
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "frameworks")]
    program.write_text(code.replace("{paths}", repr(paths)))
    process = subprocess.Popen(
        [sys.executable, *launcher, str(program)],
        env={
            **os.environ,
            "TRAINBRIDGE_ADDRESS": bridge.address,
            "PYTHONPATH": str(ROOT),
            SAID: str(said),
        },
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
    ranks = sorted([file.name, *file.read_text().split()] for file in said.iterdir())
    assert [rank[0] for rank in ranks] == ["0", "1"], out
    return ranks


def pause_and_resume(recorder):
    """Send a command to pause, and one to resume once the loop has paused; return the thread that does the latter."""
    recorder.send_command(CommandType.PAUSE_TRAINING)

    def resume():
        until_true(lambda: Status.PAUSED in [status for status, *_ in recorder.statuses])
        recorder.send_command(CommandType.RESUME_TRAINING)

    thread = threading.Thread(target=resume)
    thread.start()
    return thread


def has_paused(recorder):
    """Return whether a run has paused, gone on and ended, and has said so."""
    answers = [answer.applied for answer in recorder.answers]
    statuses = [status for status, *_ in recorder.statuses]
    at = statuses.index(Status.PAUSED)
    return answers == [True, True] and statuses[at:] == [
        Status.PAUSED,
        Status.RUNNING,
        Status.COMPLETED,
    ]
