"""How a run of a drop-in ends is how a session would have ended there."""

import pytest

from bridge.client import CommandType, TrainingSession
from bridge.client.compat import wandb
from bridge.client.compat.tensorboard import SummaryWriter
from bridge.client.testing import RecordingBridge


def of_a_session(bridge):
    """Report to a session."""
    with TrainingSession(bridge, model="x") as session:
        yield session, lambda: session.log_batch(0.5, step=0)


def of_a_writer(bridge):
    """Report to a writer."""
    with SummaryWriter("runs/x", address=bridge) as writer:
        yield writer.session, lambda: writer.add_scalar("loss", 0.5, 0)


def of_writers(bridge):
    """Report to two writers of one run."""
    with (
        SummaryWriter("runs/x/train", address=bridge) as writer,
        SummaryWriter("runs/x/val", address=bridge),
    ):
        yield writer.session, lambda: writer.add_scalar("loss", 0.5, 0)


def of_a_run(bridge):
    """Report to a run."""
    with wandb.init(address=bridge) as run:
        yield run.session, lambda: run.log({"loss": 0.5})


DROP_INS = (of_a_writer, of_writers, of_a_run)


def ended(way, body):
    """Return the statuses that a bridge has got when the body has run in the block of a run."""
    bridge = RecordingBridge()
    run = way(bridge)
    session, report = next(run)
    report()
    try:
        body(bridge, session, report)
    except BaseException as error:  # noqa: BLE001 -- as a block would get it
        with pytest.raises(type(error)):
            run.throw(error)
    else:
        next(run, None)
    return bridge.statuses


def nothing(_bridge, _session, _report):
    """Come to the end."""


def fail(_bridge, _session, _report):
    """Raise an exception."""
    raise ValueError("no data")


def interrupt(_bridge, _session, _report):
    """Be interrupted by Ctrl-C."""
    raise KeyboardInterrupt


def leave(_bridge, _session, _report):
    """Exit with a status."""
    raise SystemExit(3)


def stop(bridge, session, report):
    """Obey a command to stop."""
    bridge.send_command(CommandType.STOP_TRAINING)
    report()
    assert session.should_stop


@pytest.mark.parametrize("body", [nothing, fail, interrupt, leave, stop])
@pytest.mark.parametrize("way", DROP_INS)
def test_it_ends_as_a_session_does(way, body):
    """Completed, failed with what was raised, interrupted, or stopped by command."""
    assert ended(way, body)[-1] == ended(of_a_session, body)[-1]


def test_an_exception_in_flight_is_why_it_ended():
    """As where a script closes its writer, or finishes its run, in a `finally`."""
    bridges = [RecordingBridge() for _ in range(2)]

    def write():
        writer = SummaryWriter("runs/x", address=bridges[0])
        try:
            writer.add_scalar("loss", 0.5, 0)
            raise ValueError("no data")
        finally:
            writer.close()

    def log():
        wandb.init(address=bridges[1])
        try:
            wandb.log({"loss": 0.5})
            raise ValueError("no data")
        finally:
            wandb.finish()

    for train in (write, log):
        with pytest.raises(ValueError, match="no data"):
            train()
    assert [b.statuses[-1][1] for b in bridges] == ["ValueError: no data"] * 2


@pytest.mark.parametrize("way", DROP_INS)
def test_a_command_changes_the_learning_rate(way):
    """Of the optimizer that the script hands to the session."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    bridge = RecordingBridge()
    run = way(bridge)
    session, report = next(run)
    session.controls(optimizer=optimizer)
    bridge.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.25)
    report()
    next(run, None)

    assert optimizer.param_groups[0]["lr"] == 0.25
    assert [answer.applied for answer in bridge.answers] == [True]
