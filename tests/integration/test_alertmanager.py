"""The way back, by real programs: an alert fires in Prometheus, reaches Alertmanager, and slows or stops a loop by way of the bridge."""

import contextlib
import json
import math
import threading
from dataclasses import dataclass, field

import pytest
from support.alertmanager import running_alertmanager
from support.bridges import running_bridge
from support.prometheus import running_prometheus
from support.waiting import until_true

from bridge.client import CommandType, TrainingSession
from bridge.client.query import QueryError

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
        with (
            contextlib.suppress(MemoryError),
            TrainingSession(self.address, session_id=self.session_id, epochs=1) as session,
        ):
            session.on(CommandType.CHANGE_LEARNING_RATE, self.slow_down)
            while not (session.should_stop or self.ending.is_set()):
                self.batch += 1
                session.log_scalars({"learning_rate": self.rate}, epoch=1, batch=self.batch)
                session.log_batch(self.loss(), epoch=1, batch=self.batch)
                self.ending.wait(0.02)

    def loss(self):
        """Return the loss of the next batch."""
        return 0.5 if self.calm.is_set() else 9.0

    def slow_down(self, parameters):
        """Take the learning rate of a command."""
        self.rate = float(parameters["learning_rate"])
        self.slowed_at.append(self.batch)
        return f"learning rate {self.rate:g}"


class Hung(Loop):
    """One that makes no step any more after fifty, and keeps its connection."""

    def loss(self):
        """Hang, in its time."""
        if self.batch > 50:
            self.ending.wait()
        return 0.5


class NotFinite(Loop):
    """One whose loss is now and then not a number."""

    def loss(self):
        """Return NaN every tenth time."""
        return math.nan if self.batch % 10 == 0 else 0.5


class Failing(Loop):
    """One that runs out of memory, by an exception that nobody catches within its session."""

    def loss(self):
        """Fail after fifty batches."""
        if self.batch > 50:
            raise MemoryError("out of memory")
        return 0.5


TROUBLED = {
    "hung": (Hung, "TrainingStalled"),
    "not-finite": (NotFinite, "TrainingLossNotFinite"),
    "failing": (Failing, "TrainingFailed"),
}
"""Loops by the names of their sessions, with the shipped alert that fires for each."""


@contextlib.contextmanager
def training(*loops):
    """Run loops while the block lasts; yields what ends them earlier."""
    threads = [threading.Thread(target=loop.run) for loop in loops]
    for thread in threads:
        thread.start()

    def end():
        for loop in loops:
            loop.ending.set()
        for thread in threads:
            thread.join(SECONDS)

    try:
        yield end
    finally:
        end()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A bridge that gets alerts about trainings in trouble, also after it was restarted: bridge, Alertmanager and one loop.

    One training was slowed down, and diverges no more; one was stopped; the others are in the trouble of their names.
    """
    folder = tmp_path_factory.mktemp("alerts")
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(running_bridge(folder / "state", *FLAGS))
        alertmanager = stack.enter_context(running_alertmanager(folder, [first.http]))
        stack.enter_context(
            running_prometheus(folder, [first.http], alertmanager=alertmanager.address, rules=RULES)
        )
        slowed = Loop("slowed", first.grpc)
        troubled = [kind(name, first.grpc) for name, (kind, _) in TROUBLED.items()]
        end = stack.enter_context(training(slowed, Loop("stopped", first.grpc), *troubled))
        until_true(lambda: len(answered(first)) == 2, seconds=SECONDS)
        first.process.terminate()
        first.process.wait(SECONDS)
        same = ("--grpc-address", first.grpc, "--http-address", first.http)
        bridge = stack.enter_context(running_bridge(folder / "state", *FLAGS, *same))
        stack.callback(end)
        until_true(
            lambda: bridge.total("bridge_alerts_received_total", result="duplicate") >= 2,
            seconds=SECONDS,
        )
        slowed.calm.set()
        until_true(lambda: b"resolved after" in bridge.get("/sessions/slowed"), seconds=SECONDS)
        expected = {(name, f"alert {alert}") for name, (_, alert) in TROUBLED.items()}
        until_true(lambda: expected <= drawn(bridge), seconds=SECONDS)
        yield bridge, alertmanager, slowed


def drawn(bridge, kind="alert"):
    """Return the annotations of a kind, as (session, title)."""
    names = ",".join(("slowed", "stopped", *TROUBLED))
    found = json.loads(bridge.get(f"/api/v1/annotations?kind={kind}&session={names}"))
    return {(one["session_id"], one["title"]) for one in found["annotations"]}


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
    except QueryError:
        return []


@pytest.mark.timeout(300)
def test_an_alert_slows_a_loop_down(scene):
    """Half the rate that the loop has reported, applied at a batch, and said to be sent by the alert."""
    bridge, _, loop = scene

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
    bridge, _, _ = scene

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
    """Alertmanager has repeated itself, and the bridge was restarted in between; each loop has got one command."""
    bridge, _, _ = scene

    assert bridge.total("bridge_alerts_received_total", result="queued") == 0
    assert bridge.total("training_commands_total", result="applied") == 2
    assert [len(bridge.client.commands(name)) for name in ("slowed", "stopped")] == [1, 1]


@pytest.mark.timeout(300)
def test_an_alert_out_of_bounds_is_refused_and_shown(scene):
    """A rate that is too high is sent to nobody, and the page says why."""
    bridge, _, _ = scene

    page = bridge.get("/sessions/slowed").decode()

    assert bridge.total("bridge_alerts_received_total", result="refused") >= 1
    assert "a learning rate of 5 is not between 0.01 and 1" in page


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("session_id", "alert"), [(n, a) for n, (_, a) in TROUBLED.items()])
def test_shipped_alerts_reach_the_page_of_their_session(scene, session_id, alert):
    """By way of Prometheus and Alertmanager, without a command."""
    bridge, alertmanager, _ = scene

    held = {
        (one["labels"]["session_id"], one["labels"]["alertname"]) for one in alertmanager.alerts()
    }

    assert (session_id, alert) in held
    assert f"alert {alert} fires: " in bridge.get(f"/sessions/{session_id}").decode()
    assert bridge.client.commands(session_id) == ()


@pytest.mark.timeout(300)
def test_charts_are_drawn_with_what_happened(scene):
    """Alerts, their commands and their ends stand over the curves."""
    bridge, _, _ = scene

    assert {("slowed", "alert Diverges"), ("stopped", "alert NeverComesBack")} <= drawn(bridge)
    assert drawn(bridge, "command") == {
        ("slowed", "change learning rate"),
        ("stopped", "stop training"),
    }
    assert {("stopped", "stopped"), ("failing", "failed")} <= drawn(bridge, "end")
