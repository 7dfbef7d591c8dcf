"""The way back, by real programs: an alert fires in Prometheus, reaches Alertmanager, and slows or stops a loop by way of the bridge."""

import contextlib
import threading
import time
from dataclasses import dataclass, field

import pytest
from support.alertmanager import running_alertmanager
from support.bridges import running_bridge
from support.prometheus import running_prometheus
from support.waiting import until_true

from bridge.client import CommandType, TrainingSession

SECONDS = 90

FLAGS = (
    *("--alert-commands", "change-learning-rate stop"),
    *("--alert-min-learning-rate", "0.01", "--alert-max-learning-rate", "1"),
)


def rule(name, session_id, command, parameters=""):
    """Return a rule that fires while the loss of a session is above 5."""
    annotations = {"trainbridge_parameters": parameters} if parameters else {}
    return {
        "alert": name,
        "expr": f'max by (session_id) (training_loss{{session_id="{session_id}"}} > 5)',
        "labels": {"severity": "warning", "trainbridge_command": command},
        "annotations": {"summary": "Training {{ $labels.session_id }} diverges", **annotations},
    }


RULES = (
    rule("Diverges", "slowed", "change-learning-rate", '{"factor": 0.5}'),
    rule("DivergesFar", "slowed", "change-learning-rate", '{"learning_rate": 5}'),
    rule("NeverComesBack", "stopped", "stop"),
)


@dataclass
class Loop:
    """A loop that trains in a thread of its own, with a loss of 9 until `calm` is set, and obeys."""

    session_id: str
    address: str
    rate: float = 0.4
    batch: int = 0
    slowed_at: list[int] = field(default_factory=list)
    """At which batches the learning rate was changed."""
    calm: threading.Event = field(default_factory=threading.Event)
    ending: threading.Event = field(default_factory=threading.Event)

    def run(self):
        """Train until a command stops the loop, or the test ends."""
        with TrainingSession(self.address, session_id=self.session_id, epochs=1) as session:
            session.on(CommandType.CHANGE_LEARNING_RATE, self.slow_down)
            while not (session.should_stop or self.ending.is_set()):
                self.batch += 1
                loss = 0.5 if self.calm.is_set() else 9.0
                session.log_scalars({"learning_rate": self.rate}, epoch=1, batch=self.batch)
                session.log_batch(loss, epoch=1, batch=self.batch)
                time.sleep(0.02)

    def slow_down(self, parameters):
        """Take the learning rate of a command."""
        self.rate = float(parameters["learning_rate"])
        self.slowed_at.append(self.batch)
        return f"learning rate {self.rate:g}"


@contextlib.contextmanager
def training(*loops):
    """Run loops while the block lasts."""
    threads = [threading.Thread(target=loop.run) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.ending.set()
        for thread in threads:
            thread.join(SECONDS)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A bridge whose trainings diverge, until one is slowed down and the other stopped: bridge and the slowed loop."""
    folder = tmp_path_factory.mktemp("alerts")
    with contextlib.ExitStack() as stack:
        bridge = stack.enter_context(running_bridge(folder / "state", *FLAGS))
        alertmanager = stack.enter_context(running_alertmanager(folder, [bridge.http]))
        stack.enter_context(
            running_prometheus(
                folder, [bridge.http], alertmanager=alertmanager.address, rules=RULES
            )
        )
        slowed, stopped = Loop("slowed", bridge.grpc), Loop("stopped", bridge.grpc)
        stack.enter_context(training(slowed, stopped))
        until_true(lambda: len(answered(bridge)) == 2, seconds=SECONDS)
        repeated = bridge.total("bridge_alerts_received_total", result="duplicate")
        until_true(
            lambda: bridge.total("bridge_alerts_received_total", result="duplicate") > repeated,
            seconds=SECONDS,
        )
        slowed.calm.set()
        until_true(lambda: b"resolved" in bridge.get("/sessions/slowed"), seconds=SECONDS)
        yield bridge, slowed


def answered(bridge):
    """Return the commands that loops have answered, of both sessions."""
    commands = [
        one for name in ("slowed", "stopped") for one in commands_of(bridge, name) if one.result
    ]
    return {one.session_id: one for one in commands}


def commands_of(bridge, session_id):
    """Return the commands of a session; none before it has begun."""
    try:
        return bridge.client.commands(session_id)
    except Exception:  # noqa: BLE001
        return []


@pytest.mark.timeout(300)
def test_an_alert_slows_a_loop_down(scene):
    """Half the rate that the loop has reported, applied at a batch, and said to be sent by the alert."""
    bridge, loop = scene

    [command] = bridge.client.commands("slowed")

    assert (command.type, command.parameters) == (
        "CHANGE_LEARNING_RATE",
        {"learning_rate": "0.2"},
    )
    assert (command.state, command.sent_by) == ("applied", "alert Diverges")
    assert loop.rate == 0.2
    assert [command.result.batch] == loop.slowed_at
    assert command.result.message == "learning rate 0.2"


@pytest.mark.timeout(300)
def test_an_alert_stops_a_loop(scene):
    """The run ends, as one that a command has stopped."""
    bridge, _ = scene

    [command] = bridge.client.commands("stopped")
    session = bridge.client.session("stopped")

    assert (command.type, command.state, command.sent_by) == (
        "STOP_TRAINING",
        "applied",
        "alert NeverComesBack",
    )
    assert command.result.batch > 0
    assert session.state == "stopped"


@pytest.mark.timeout(300)
def test_a_repeated_notification_does_nothing_more(scene):
    """Alertmanager has repeated itself; each loop has got one command."""
    bridge, _ = scene

    assert bridge.total("bridge_alerts_received_total", result="duplicate") >= 1
    assert bridge.total("bridge_alerts_received_total", result="queued") == 2
    assert bridge.total("training_commands_total", result="applied") == 2


@pytest.mark.timeout(300)
def test_an_alert_out_of_bounds_is_refused_and_shown(scene):
    """A rate that is too high is sent to nobody, and the page says why."""
    bridge, _ = scene

    page = bridge.get("/sessions/slowed").decode()

    assert bridge.total("bridge_alerts_received_total", result="refused") >= 1
    assert "a learning rate of 5 is not between 0.01 and 1" in page
