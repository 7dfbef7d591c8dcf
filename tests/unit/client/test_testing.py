"""The recording bridge, used as users do to test their loops."""

import math

import pytest
from support.jpegs import jpeg

from bridge.client import CommandType, Status, TrainingSession
from bridge.client.testing import Answer, Epoch, RecordingBridge
from bridge.wire import metrics_pb2 as wire


def record(bridge: RecordingBridge, **payload) -> None:
    """Send a bridge a message."""
    bridge.record(wire.MetricsRequest(**payload))


def test_who_registers_is_recorded():
    """The configuration and labels of a run are available before its first call."""
    bridge = RecordingBridge()
    with TrainingSession(
        bridge, session_id="run", model="resnet", epochs=3, labels={"team": "vision"}
    ):
        assert bridge.identity.session_id == "run"
        assert (bridge.identity.config.model, bridge.identity.config.epochs) == ("resnet", 3)
        assert bridge.identity.labels == {"team": "vision"}


def test_what_was_not_said_is_none():
    """0 and not reported stay distinct."""
    bridge = RecordingBridge()
    record(bridge, epoch_data=wire.EpochData(epoch=1, validation_loss=0.0))

    assert bridge.epochs == [Epoch(1, 0.0, None, 0.0, None, None)]


def test_answers_name_their_order():
    """The answer to a command has its id."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.on(
            CommandType.ADJUST_BATCH_SIZE, lambda parameters: f"now {parameters['batch_size']}"
        )
        first = bridge.send_command(CommandType.ADJUST_BATCH_SIZE, batch_size=64)
        second = bridge.send_command(CommandType.SAVE_CHECKPOINT)
        session.log_batch(0.5, epoch=2, batch=7)

    assert first != second
    answers = {answer.command_id: answer for answer in bridge.answers}
    assert answers[first] == Answer(first, True, "now 64", 2, 7)
    assert not answers[second].applied


def test_a_command_needs_a_session():
    """A test that sends one too early gets a clear error."""
    with pytest.raises(RuntimeError, match="no session"):
        RecordingBridge().send_command(CommandType.STOP_TRAINING)


@pytest.mark.parametrize(("rate", "images"), [(math.inf, 10), (0.0, 0)])
def test_as_many_images_as_wanted(rate, images):
    """All of them by default; all batches are recorded in any case."""
    bridge = RecordingBridge(image_batches_per_second=rate)
    with TrainingSession(bridge) as session:
        for batch in range(10):
            session.log_batch(1.0, epoch=0, batch=batch, images=[jpeg()])

    assert len(bridge.batches) == 10
    assert sum(len(batch.images) for batch in bridge.batches) == images
    assert session.stats.images_sampled_out == 10 - images


def test_one_bridge_serves_many_sessions():
    """One after the other, into the same lists."""
    bridge = RecordingBridge()
    for epoch in range(2):
        with TrainingSession(bridge) as session:
            session.log_epoch(epoch, loss=0.5)

    assert [epoch.epoch for epoch in bridge.epochs] == [0, 1]
    assert [status for status, _ in bridge.statuses].count(Status.COMPLETED) == 2


def test_everything_is_acknowledged():
    """A session counts as it would with a real bridge."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        assert session.flush(60) == 0
        assert session.stats.connected
        assert len(bridge.batches) == 1

    assert session.stats.unacknowledged == 0
    assert session.stats.acknowledged == session.stats.messages


def test_a_command_that_does_not_exist():
    """A mistake in a test is an error of that test, with what was probably meant."""
    bridge = RecordingBridge()
    with (
        TrainingSession(bridge),
        pytest.raises(ValueError, match=r"give CommandType\.STOP_TRAINING"),
    ):
        bridge.send_command("stop")
