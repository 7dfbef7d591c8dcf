"""The SDK against a real bridge: what the loop said arrives, whatever happens to the bridge."""

import json
import os
import signal
import socket
import urllib.request

import numpy as np
import pytest
from support.bridges import running_bridge
from support.jpegs import jpeg, large_jpeg
from support.waiting import until_true

from bridge.client import CommandType, TrainingSession

CLOSE_SECONDS = 30.0


@pytest.fixture
def port():
    """Return a port that is free at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def log_batches(session, epoch, batches, **fields) -> None:
    """Tell of batches as a loop does."""
    for batch in batches:
        session.log_batch(1 / (batch + 1), epoch=epoch, batch=batch, **fields)


def post(url: str, **document) -> None:
    """Send a JSON document."""
    request = urllib.request.Request(  # noqa: S310
        url, json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        assert answer.status == 202


def test_everything_said_is_counted_and_acknowledged(tmp_path):
    """Batches, epochs, scalars, images from arrays: the SDK's books agree with the bridge's."""
    images = np.zeros((20, 3, 24, 24), dtype=np.float32)
    logits = np.eye(10)[np.arange(20) % 10] * 8
    with running_bridge(tmp_path / "state", "--images-keep", "all") as bridge:
        with TrainingSession(bridge.grpc, model="m", epochs=2, batch_size=20) as session:
            for epoch in range(2):
                log_batches(
                    session,
                    epoch,
                    range(50),
                    images=images,
                    predictions=logits,
                    ground_truth=range(20),
                )
                session.log_epoch(epoch, loss=0.5, accuracy=0.9, validation_loss=0.6)
            session.log_scalars({"gradient_norm": 2.5})
        stats, name = session.stats, session.session_id

        assert (stats.batches, stats.batches_acknowledged, stats.faults) == (100, 100, 0)
        assert stats.messages == stats.acknowledged
        assert bridge.total("training_batches_total", session_id=name) == 100
        assert bridge.total("training_epochs_completed_total", session_id=name) == 2
        assert bridge.total("training_samples_total", session_id=name) == 2000
        assert bridge.total("training_gradient_norm", session_id=name) == 2.5
        assert bridge.total("training_session_status", session_id=name, status="completed") == 1
        assert bridge.total("training_images_total", session_id=name, result="stored") == 1600
        assert bridge.get(f"/sessions/{name}/batches/1-49/15.jpg")[:2] == b"\xff\xd8"


def test_a_loop_that_raises_ends_as_failed(tmp_path):
    """The type and message of what was raised are on the session's page."""
    with running_bridge(tmp_path / "state") as bridge:

        def train() -> None:
            with TrainingSession(bridge.grpc, session_id="broken") as session:
                session.log_batch(1 / 1, epoch=0, batch=0)
                session.log_batch(1 / 0, epoch=0, batch=1)

        with pytest.raises(ZeroDivisionError):
            train()

        assert bridge.total("training_session_status", session_id="broken", status="failed") == 1
        assert b"ZeroDivisionError: division by zero" in bridge.get("/sessions/broken")


def test_a_bridge_that_comes_later_gets_everything(tmp_path, port):
    """The loop starts, and goes on, without a bridge; nothing it said is lost."""
    address = f"127.0.0.1:{port}"
    session = TrainingSession(address, session_id="early", close_seconds=CLOSE_SECONDS)
    log_batches(session, 0, range(500))

    with running_bridge(tmp_path / "state", "--grpc-address", address) as bridge:
        assert session.close() == 0
        assert bridge.total("training_batches_total", session_id="early") == 500

    assert session.stats.batches_acknowledged == 500


@pytest.mark.parametrize(
    ("number", "least"), [(signal.SIGTERM, 800), (signal.SIGKILL, 300)], ids=["stopped", "killed"]
)
def test_a_bridge_that_comes_back_gets_the_rest(tmp_path, port, number, least):
    """The new bridge gets what the old one had not committed, once.

    After a graceful stop it also goes on counting where the old one was; after a kill its counts may
    lack what was acknowledged since they were last written, which is what the journal is to mend.
    """
    flags = ("--grpc-address", f"127.0.0.1:{port}")
    session = TrainingSession(flags[1], session_id="run", close_seconds=CLOSE_SECONDS)
    with running_bridge(tmp_path / "state", *flags) as first:
        log_batches(session, 0, range(300))
        assert session.flush(CLOSE_SECONDS) == 0
        assert first.total("training_batches_total", session_id="run") == 300
        log_batches(session, 1, range(200))
        first.stop(number)
    log_batches(session, 2, range(300))

    with running_bridge(tmp_path / "state", *flags) as second:
        assert session.close() == 0
        connections = session.stats.connections
        counted = json.loads(second.get("/api/v1/sessions/run"))["batches"]

    assert session.stats.batches_acknowledged == 800
    assert connections >= 2
    assert least <= counted <= 800


def test_a_frozen_bridge_costs_the_loop_nothing(tmp_path):
    """While the bridge stands still every call returns, the buffer stays bounded, and scalars survive."""
    with running_bridge(tmp_path / "state") as bridge:
        session = TrainingSession(
            bridge.grpc, session_id="frozen", buffer_bytes=2 << 20, close_seconds=CLOSE_SECONDS
        )
        log_batches(session, 0, range(10))
        assert session.flush(CLOSE_SECONDS) == 0
        bridge.process.send_signal(signal.SIGSTOP)
        try:
            log_batches(session, 1, range(2000), images=[jpeg()] * 16)
            session.log_epoch(1, loss=0.25)
        finally:
            bridge.process.send_signal(signal.SIGCONT)

        assert session.close() == 0
        stats = session.stats
        assert stats.batches_acknowledged == stats.batches
        assert bridge.total("training_batches_total", session_id="frozen") == stats.batches
        assert bridge.total("training_epoch_loss", session_id="frozen") == 0.25


def test_what_was_dropped_holds_up_nothing(tmp_path):
    """A frozen bridge makes a small buffer overflow, also with messages on their way: the rest arrives, once."""
    with running_bridge(tmp_path / "state") as bridge:
        session = TrainingSession(bridge.grpc, session_id="run", buffer_bytes=100_000)
        log_batches(session, 0, range(100))
        assert session.flush(60) == 0
        bridge.process.send_signal(signal.SIGSTOP)
        for round_ in range(1, 41):
            log_batches(session, round_, range(100))
            session.log_epoch(round_, loss=0.5)
            until_true(lambda: not len(session._runtime.queue))
        assert session.stats.dropped > 1_000
        bridge.process.send_signal(signal.SIGCONT)

        assert session.close(CLOSE_SECONDS) == 0
        stats = session.stats
        assert stats.messages == stats.acknowledged + stats.dropped
        assert stats.connections == 1
        assert bridge.total("training_epochs_completed_total", session_id="run") == 40
        assert stats.batches_acknowledged <= bridge_batches(bridge) <= stats.batches
        assert bridge.total("training_session_status", session_id="run", status="completed") == 1


def test_a_bridge_that_lost_its_state_gets_the_rest(tmp_path, port):
    """It begins with the first message that the SDK still has; nothing before that is waited for."""
    address = f"127.0.0.1:{port}"
    flags = ("--grpc-address", address)
    with running_bridge(tmp_path / "one", *flags) as first:
        session = TrainingSession(address, session_id="run")
        log_batches(session, 0, range(50))
        assert session.flush(60) == 0
        first.stop(signal.SIGKILL)
    log_batches(session, 1, range(30))
    with running_bridge(tmp_path / "two", *flags) as second:
        log_batches(session, 2, range(20))
        assert session.close(CLOSE_SECONDS) == 0
        assert bridge_batches(second) == 50
        stats = session.stats
        assert (stats.batches_acknowledged, stats.dropped) == (100, 0)


def bridge_batches(bridge):
    """Return how many batches of the run a bridge has counted."""
    return bridge.total("training_batches_total", session_id="run")


def test_commands_reach_the_loop_and_their_answers_come_back(tmp_path):
    """A learning rate is changed by the loop, and a stop is seen by it."""
    changed = []
    with running_bridge(tmp_path / "state") as bridge:
        url = f"http://{bridge.http}/api/v1/sessions/run/commands"
        with TrainingSession(bridge.grpc, session_id="run") as session:
            session.on(CommandType.CHANGE_LEARNING_RATE, changed.append)
            log_batches(session, 0, range(5))
            session.flush(CLOSE_SECONDS)
            post(url, type="CHANGE_LEARNING_RATE", parameters={"learning_rate": "0.5"})
            post(url, type="STOP_TRAINING")
            until_true(lambda: session.should_stop, what="the command to stop reaches the loop")
            log_batches(session, 0, range(5, 8))

        commands = json.loads(bridge.get("/api/v1/sessions/run/commands"))["commands"]

    assert changed == [{"learning_rate": "0.5"}]
    assert {command["type"]: command["state"] for command in commands} == {
        "CHANGE_LEARNING_RATE": "applied",
        "STOP_TRAINING": "applied",
    }


def test_a_fork_reports_nothing(tmp_path):
    """A forked data loader's copy of the session is inert; the parent goes on."""
    with running_bridge(tmp_path / "state") as bridge:
        with TrainingSession(bridge.grpc, session_id="parent") as session:
            log_batches(session, 0, range(10))
            child = os.fork()
            if child == 0:
                log_batches(session, 9, range(50))
                os._exit(0 if session.close(0.1) == 0 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            log_batches(session, 0, range(10, 20))

        assert bridge.total("training_batches_total", session_id="parent") == 20


@pytest.mark.parametrize(
    ("buffer_bytes", "reason"), [(512 << 20, "images: too large"), (64 << 20, "images: no memory")]
)
def test_images_too_large_to_be_sent_are_counted(tmp_path, buffer_bytes, reason):
    """Given is sent and left out for a true reason; the predictions and samples of the batch are whole."""
    images = [large_jpeg(5_000_000)] * 16
    with running_bridge(tmp_path / "state") as bridge:
        with TrainingSession(
            bridge.grpc, close_seconds=CLOSE_SECONDS, buffer_bytes=buffer_bytes
        ) as session:
            session.log_batch(
                0.5, epoch=0, batch=0, images=images, predictions=[1] * 16, ground_truth=[1] * 16
            )
        stats, name = session.stats, session.session_id
        kept = bridge.total("training_images_total", session_id=name, result="stored")

        assert 0 < stats.images_sent < 16
        assert stats.images_sent + stats.images_shed == stats.images_given == 16
        assert stats.left_out == {reason: stats.images_shed}
        assert kept == stats.images_sent
        assert bridge.total("training_predictions_total", session_id=name) == 16
        assert bridge.total("training_samples_total", session_id=name) == 16


def test_what_a_loop_does_not_report_survives_a_kill(tmp_path):
    """Batches without a loss and epochs without an accuracy are reported again down to the last one, and none is dropped."""
    state = tmp_path / "state"
    with (
        running_bridge(state) as bridge,
        TrainingSession(bridge.grpc, session_id="bare") as session,
    ):
        for batch in range(20):
            session.log_batch(None, epoch=0, batch=batch)
        session.log_epoch(0, loss=0.5)
        session.log_epoch(1, loss=None)
        session.log_scalars({"a": 1.5})
        session.flush(CLOSE_SECONDS)
        bridge.stop(signal.SIGKILL)
        with running_bridge(state) as again:
            assert again.total("training_batches_total", session_id="bare") == 20
            assert again.total("training_epochs_completed_total", session_id="bare") == 2
            assert again.total("bridge_dropped_total") == 0


def test_a_run_by_steps_is_counted_and_survives_a_kill(tmp_path):
    """Steps, tokens, scalars by split, events and the configuration, down to the last one."""
    state = tmp_path / "state"
    with (
        running_bridge(state) as bridge,
        TrainingSession(
            bridge.grpc, session_id="lm", steps=100, config={"optimizer": {"rate": 0.1}}
        ) as session,
    ):
        session.event("data-loaded", files=12)
        for _ in range(50):
            session.log_batch(0.5, tokens=4_096)
        session.log_scalars({"loss": 0.7}, split="validation")
        session.alert("loss-spike", "at once", loss=np.float32(9.5))
        assert session.flush(CLOSE_SECONDS) == 0
        bridge.stop(signal.SIGKILL)

        with running_bridge(state) as again:
            assert again.total("training_step", session_id="lm") == 49
            assert again.total("training_tokens_total", session_id="lm") == 50 * 4_096
            assert again.total("training_metric", name="loss", split="validation") == 0.7
            assert again.total("training_events_total", session_id="lm") == 2
            assert json.loads(again.get("/api/v1/sessions/lm"))["config"] == {"optimizer.rate": 0.1}
            assert b"loss-spike" in again.get("/sessions/lm")
            assert again.total("bridge_dropped_total") == 0
