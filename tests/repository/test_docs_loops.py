"""The training loops in the documents run as they stand, and obey commands."""

import re
import threading

import pytest
from support.markdown import blocks
from support.repository import files, name_of
from support.waiting import until_true

from bridge.client import CommandType, Status, TrainingSession
from bridge.client.testing import RecordingBridge

LOOPS = [
    pytest.param(example, id=f"{name_of(path)}-{number}")
    for path in files(".md")
    for number, example in enumerate(blocks(path.read_text(), "python"))
    if "TrainingSession(" in example and "for epoch" in example and "torch." not in example
]
"""Those of torch run in tests/frameworks, where it is."""

GIVEN = {
    "loader": [([], [0, 1])] * 3,
    "train_step": lambda _images, _labels: (0.5, [[0.1, 0.9], [0.8, 0.2]]),
    "loss": 0.5,
    "logits": [[0.1, 0.9], [0.8, 0.2]],
    "mean_loss": 0.5,
    "average_loss": 0.5,
    "accuracy": 0.75,
    "hits": 3,
    "seen": 4,
}
"""What a document leaves to its reader."""


def epochs_of(example):
    """Return how many epochs an example says that it trains for."""
    return int(re.search(r"epochs=(\d+)", example)[1])


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs an example with a bridge, to which a command is sent as it begins."""

    def run_example(example, command=None, bridge=None):
        bridge = bridge or RecordingBridge()

        class Session(TrainingSession):
            def __init__(self, _address="", **options):
                super().__init__(bridge, strict=True, **options)
                if command is not None:
                    bridge.send_command(command)

        monkeypatch.setattr("bridge.client.session.TrainingSession", Session)
        quick = example.replace("time.sleep(0.02)", "time.sleep(0)")
        exec(compile(quick, "example", "exec"), dict(GIVEN))  # noqa: S102 -- our own documents
        return bridge

    return run_example


def test_there_are_loops():
    """In the README, in the page of the SDK and in the first steps."""
    assert {loop.id.rpartition("-")[0] for loop in LOOPS} >= {
        "README.md",
        "docs/sdk.md",
        "docs/getting-started.md",
    }


@pytest.mark.parametrize("example", LOOPS)
def test_a_loop_runs_to_its_end(run, example):
    """Nothing that it logs is left out, and it completes."""
    bridge = run(example)

    planned = epochs_of(example)
    assert len(bridge.epochs) == planned > 0
    assert len(bridge.batches) % planned == 0
    assert bridge.statuses[-1][0] is Status.COMPLETED


@pytest.mark.parametrize("example", LOOPS)
def test_a_loop_stops_on_command(run, example):
    """After the step that it is in, without the averages of an epoch that it has not finished."""
    bridge = run(example, CommandType.STOP_TRAINING)

    assert len(bridge.batches) == 1
    assert not bridge.epochs
    assert [answer.applied for answer in bridge.answers] == [True]


@pytest.mark.parametrize("example", LOOPS)
def test_a_loop_pauses_on_command(run, example):
    """It waits behind a step, and goes on when it may."""
    bridge = RecordingBridge()

    def resume():
        until_true(lambda: Status.PAUSED in [status for status, _ in bridge.statuses])
        bridge.send_command(CommandType.RESUME_TRAINING)

    resuming = threading.Thread(target=resume)
    resuming.start()
    run(example, CommandType.PAUSE_TRAINING, bridge)
    resuming.join()

    assert [answer.applied for answer in bridge.answers] == [True, True]
    assert len(bridge.epochs) == epochs_of(example)
