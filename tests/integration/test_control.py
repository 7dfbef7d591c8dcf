"""A loop over `track`, commanded through a real bridge: what it does and what is seen of it."""

import threading
from types import SimpleNamespace

from support.bridges import running_bridge
from support.otlp import receiving
from support.waiting import until_true

from bridge.client import CommandType, TrainingSession

CHANGE, PAUSE, RESUME, STOP = (
    CommandType.CHANGE_LEARNING_RATE,
    CommandType.PAUSE_TRAINING,
    CommandType.RESUME_TRAINING,
    CommandType.STOP_TRAINING,
)


class Commander:
    """Commands a session through the bridge's API."""

    def __init__(self, bridge, session):
        self.client = bridge.client
        self._session = session

    def send(self, type, **parameters):
        """Send a command between two batches, and wait until the loop has it."""
        command = self.client.submit_command("run", type, parameters)
        until_true(lambda: self._session._commands.waiting)
        return command

    def of(self, command):
        """Return what is known of a command."""
        return next(
            known for known in self.client.commands("run") if known.command_id == command.command_id
        )


def test_a_learning_rate_shows_at_once_and_in_the_span_of_its_epoch(tmp_path):
    """And a stop ends the loop behind the batch it is in, and the run as one that was stopped."""
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.125}, {"lr": 0.25}])
    with (
        receiving("grpc") as receiver,
        running_bridge(tmp_path / "state", "--otlp-endpoint", receiver.url) as bridge,
        TrainingSession(bridge.grpc, session_id="run", model="net") as session,
    ):
        session.controls(optimizer=optimizer)
        commander = Commander(bridge, session)
        commands, taken = [], []
        for epoch, number in session.track([1.0, 2.0, 3.0], epochs=5):
            taken.append((epoch, number))
            session.log_batch(number)
            session.flush(60)
            if (epoch, number) == (1, 1.0):
                commands.append(commander.send(CHANGE, learning_rate=0.5))
            if (epoch, number) == (2, 2.0):
                until_true(lambda: bridge.total("training_learning_rate", session_id="run") == 0.5)
                commands.append(commander.send(STOP))
        assert session.should_stop
        session.close()

        until_true(lambda: all(commander.of(each).state == "applied" for each in commands))
        rate, stop = (commander.of(each).result for each in commands)
        assert (
            rate.message
            == "was 0.125; the 2 parameter groups keep their ratios to the first: 0.5, 1"
        )
        assert (rate.epoch, rate.batch) == (1, 0)
        assert (stop.epoch, stop.batch) == (2, 1)
        until_true(lambda: receiver.named("training.session.end"))
        details = bridge.client.session("run")

    assert taken[-1] == (2, 2.0)
    assert (details.total_epochs, details.batches_per_epoch) == (5, 3)
    rates = [
        span.attributes.get("training.learning_rate") for span in receiver.named("training.epoch")
    ]
    assert rates[:2] == [0.125, 0.5]


def test_a_pause_holds_the_loop_within_a_batch(tmp_path):
    """From the bridge's command to the bridge's page."""
    with (
        running_bridge(tmp_path / "state") as bridge,
        TrainingSession(bridge.grpc, session_id="run") as session,
    ):
        client, taken = bridge.client, []

        def train():
            for _, number in session.track([1.0, 2.0], epochs=1):
                taken.append(number)
                session.log_batch(number)
                session.flush(60)
                if number == 1.0:
                    Commander(bridge, session).send(PAUSE)

        loop = threading.Thread(target=train)
        loop.start()
        until_true(lambda: session.stats.connected, what="the bridge knows the session")
        until_true(lambda: client.session("run").status == "paused")
        assert taken == [1.0]
        client.submit_command("run", RESUME)
        loop.join()
        until_true(lambda: [each.state for each in client.commands("run")] == ["applied"] * 2)

    assert taken == [1.0, 2.0]
