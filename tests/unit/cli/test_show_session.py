"""`trainbridge sessions show`, against a bridge's real HTTP server."""

import json

from support.pages import running

from bridge import cli
from bridge.hardware import Gpu, Resources
from bridge.model import (
    Batch,
    CommandResult,
    Level,
    Occurrence,
    Performance,
    Status,
    StatusChange,
)
from bridge.protocol import CommandType


def busy(bridge):
    """Register a session of which everything is known."""
    session = running(bridge.deps, "resnet-1", batches=4, total_epochs=10)
    now = session.registered_at
    for message in (
        StatusChange(Status.RUNNING, phase="validation"),
        Batch(3, 17, 0.125),
        Performance(frames_per_second=60.0, resources=Resources(gpus=(Gpu(0, "GPU-1", 0.5),))),
        Occurrence("checkpoint", "saved", Level.INFO, {}, 3, 17),
    ):
        session.apply(message, now)
    command = bridge.deps.commands.submit("resnet-1", CommandType.PAUSE_TRAINING, {})
    bridge.deps.commands.answer("resnet-1", CommandResult(command.id, True, "held", 3, 18))
    return session


def test_one_screen_has_everything(bridge, capsys):
    """Each of it on a line of its own, and none wider than the terminal."""
    busy(bridge)

    assert cli.main(["sessions", "show", "resnet-1"]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "resnet-1  running, connected" in out
    assert f"{bridge.url}/sessions/resnet-1" in lines["page"]
    assert "validation" in lines["phase"]
    assert "epoch 3/10, batch 17" in lines["progress"]
    assert "0.125" in lines["loss"]
    assert "60 frames/s" in lines["speed"]
    assert "50%" in lines["gpu"]
    assert "info checkpoint saved" in lines["events"]
    assert "PAUSE_TRAINING  applied at epoch 3, batch 18: held" in lines["commands"]
    assert max(map(len, out.splitlines())) <= 100
    assert "\x1b" not in out


def test_what_was_not_reported_is_left_out(bridge, capsys):
    """No zero stands for it."""
    running(bridge.deps, "quiet", batches=0, total_epochs=0)

    assert cli.main(["sessions", "show", "quiet"]) == 0
    labels = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert not labels & {
        "loss",
        "accuracy",
        "speed",
        "gpu",
        "commands",
        "events",
        "alerts",
    }


def test_since_leaves_out_what_is_older(bridge, capsys):
    """Of events, commands and alerts; as JSON each is a list."""
    busy(bridge)

    assert cli.main(["sessions", "--json", "show", "resnet-1", "--since", "2100-01-01"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["session"]["loss"] == 0.125
    assert (shown["events"], shown["commands"], shown["alerts"]) == ([], [], [])
    assert cli.main(["sessions", "show", "resnet-1", "--json", "--since", "1d"]) == 0
    assert len(json.loads(capsys.readouterr().out)["commands"]) == 1


def test_a_session_that_is_not_there_is_named(bridge, capsys):
    """With where to look."""
    assert cli.main(["sessions", "show", "nobody"]) == 1
    err = capsys.readouterr().err
    assert "there is no session 'nobody'" in err
    assert "`trainbridge sessions` lists" in err
