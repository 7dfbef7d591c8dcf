"""Sessions that end because the program drops them, or makes a new one of the same name."""

import gc
import subprocess
import sys
import threading
from collections import Counter

import pytest
from support.fake_bridge import FakeBridge, serving
from support.waiting import until_true

from bridge.client import CommandType, Status, TrainingSession
from bridge.client.testing import RecordingBridge


def ends_of(bridge):
    """Return each status that has ended a session, with its message."""
    return [(status, message) for status, message in bridge.statuses if status.is_end]


def own_threads():
    """Return how many threads of sessions there are."""
    return Counter(thread.name for thread in threading.enumerate())["trainbridge-send"]


def test_a_session_that_is_dropped_ends():
    """All that it was given arrives, and its threads end."""
    bridge = RecordingBridge()
    before = own_threads()
    session = TrainingSession(bridge)
    for batch in range(100):
        session.log_batch(0.5, epoch=0, batch=batch)
    del session

    until_true(lambda: own_threads() == before, what="its threads have ended")
    assert len(bridge.batches) == 100
    assert ends_of(bridge) == [
        (Status.COMPLETED, "the program has let go of the session without closing it")
    ]


def test_one_in_a_reference_cycle_ends_with_it():
    """The garbage collector drops it, in whichever thread it runs."""

    class Holder:
        pass

    bridge = RecordingBridge()
    holder = Holder()
    holder.itself, holder.session = holder, TrainingSession(bridge)
    holder.session.log_batch(0.5, epoch=0, batch=0)
    del holder
    gc.collect()

    until_true(lambda: ends_of(bridge), what="the session has ended")


def test_one_whose_callbacks_refer_to_it_ends_with_its_holder():
    """As in a callback of a framework, which has a method that changes the learning rate."""

    class Holder:
        def __init__(self, bridge):
            self.session = TrainingSession(bridge)
            self.session.on(CommandType.CHANGE_LEARNING_RATE, self.change)

        def change(self, parameters):
            return parameters["learning_rate"]

    bridge = RecordingBridge()
    holder = Holder(bridge)
    holder.session.log_batch(0.5, epoch=0, batch=0)
    bridge.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.1)
    holder.session.log_batch(0.5, epoch=0, batch=1)
    del holder
    gc.collect()

    until_true(lambda: ends_of(bridge), what="the session has ended")
    assert [answer.message for answer in bridge.answers] == ["0.1"]


def test_one_that_was_dropped_before_its_first_call_ends():
    """It has nothing to say but that."""
    bridge = RecordingBridge()
    TrainingSession(bridge)

    until_true(lambda: ends_of(bridge), what="the session has ended")


def test_a_constructor_that_raises_leaves_nothing_to_end(recwarn):
    """There is no session yet."""
    with pytest.raises(ValueError, match="session_id"):
        TrainingSession(session_id="a b")
    gc.collect()

    assert list(recwarn) == []


def test_a_new_session_of_the_same_name_takes_over(caplog):
    """The first delivers all it has and ends, then the second connects; calls of the first say where to go."""
    with serving(FakeBridge()) as bridge:
        first = TrainingSession(bridge.address, session_id="run")
        for batch in range(50):
            first.log_batch(0.5, epoch=0, batch=batch)
        second = TrainingSession(bridge.address, session_id="run")
        first.log_batch(0.5, epoch=0, batch=99)
        until_true(lambda: len(bridge.registrations) == 2, what="the second is registered")
        statuses = bridge.of("status_update")
        assert second.flush(60) == 0
        assert first.close() == second.close() == 0

    assert bridge.batches() == [(0, batch) for batch in range(50)]
    assert [(Status(status.status), status.message) for status in statuses][-1] == (
        Status.COMPLETED,
        "replaced by a new session of the same name in the same process",
    )
    assert first.stats.left_out == {"batches: after the end": 1}
    assert "replaced by a new one of the same name in this process" in caplog.text


def test_threads_do_not_add_up():
    """The same cell, run ten times."""
    bridge = RecordingBridge()
    before = own_threads()
    for _ in range(10):
        session = TrainingSession(bridge, session_id="run")
        session.log_batch(0.5, epoch=0, batch=0)
    until_true(lambda: own_threads() == before + 1, what="only one is left")
    session.close()

    assert [status for status, _ in ends_of(bridge)] == [Status.COMPLETED] * 10
    assert len(bridge.batches) == 10


def test_other_names_and_other_bridges_are_left_alone():
    """Only a session that the bridge would take for the same gives way."""
    one, two = RecordingBridge(), RecordingBridge()
    sessions = [
        TrainingSession(bridge, session_id=name) for bridge in (one, two) for name in ("a", "b")
    ]
    for session in sessions:
        session.log_batch(0.5, epoch=0, batch=0)
        assert session.close() == 0

    assert len(one.batches) == len(two.batches) == 2
    assert {message for _, message in ends_of(one) + ends_of(two)} == {""}


DROPPED = """
from bridge.client import TrainingSession

def train():
    session = TrainingSession("{address}", session_id="run", close_seconds=60)
    for batch in range(5_000):
        session.log_batch(0.5, epoch=0, batch=batch)

train()
"""

REPLACED = """
from bridge.client import TrainingSession

first = TrainingSession("{address}", session_id="run", close_seconds=60)
for batch in range(5_000):
    first.log_batch(0.5, epoch=0, batch=batch)
second = TrainingSession("{address}", session_id="run", close_seconds=60)
"""


@pytest.mark.parametrize("program", [DROPPED, REPLACED], ids=["dropped", "replaced"])
def test_a_process_waits_for_sessions_that_are_about_to_end(program):
    """One that ends by itself is given as much time at the end of the process as one that nobody has closed."""
    with serving(FakeBridge()) as bridge:
        subprocess.run(
            [sys.executable, "-c", program.format(address=bridge.address)], timeout=60, check=True
        )

    assert len(bridge.batches()) == 5_000
