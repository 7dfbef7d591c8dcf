"""Copies of a session send nothing, raise nothing, and say once that they are copies; see docs/sdk.md too."""

import copy
import logging
import pickle
import threading

import cloudpickle
import pytest
from support.fake_bridge import FakeBridge, serving
from support.waiting import until_true

from bridge.client import CommandType, TrainingSession
from bridge.client.testing import RecordingBridge


def unpickled(data):
    """Return what this test has pickled itself."""
    return pickle.loads(data)  # noqa: S301


WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda session: unpickled(pickle.dumps(session)),
    "the oldest pickle": lambda session: unpickled(pickle.dumps(session, 2)),
    "cloudpickle": lambda session: unpickled(cloudpickle.dumps(session)),
    "a copy of a copy": lambda session: copy.deepcopy(copy.copy(session)),
    "one of its methods": lambda session: unpickled(pickle.dumps(session.log_batch)).__self__,
}

CALLS = {
    "batches": lambda session: session.log_batch(0.5, epoch=9, batch=9),
    "epochs": lambda session: session.log_epoch(9, loss=0.5),
    "scalars": lambda session: session.log_scalars({"x": 1.0}),
    "statuses": lambda session: session.log_status("RUNNING"),
    "callbacks": lambda session: session.on(CommandType.SAVE_CHECKPOINT, print),
    "blocks": lambda session: session.__enter__(),
}

COMMANDS = {
    "should_stop": lambda session: session.should_stop,
    "agree_to_stop": lambda session: session.agree_to_stop(),
    "wait_while_paused": lambda session: session.wait_while_paused(),
}


class Tagged(TrainingSession):
    """A session of a user's own class."""

    tag = ""


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_is_inert(way, caplog):
    """It counts what it is given and says so once; the session goes on, and no thread is added."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, session_id="run", strict=False) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        threads = threading.active_count()
        other = WAYS[way](session)
        for batch in range(3):
            other.log_batch(0.5, epoch=9, batch=batch)
        for call in (*CALLS.values(), *COMMANDS.values()):
            call(other)
        assert other.session_id == "run"
        assert other.flush() == other.close() == 0
        assert threading.active_count() == threads
        session.log_batch(0.5, epoch=0, batch=1)

    assert other.stats.left_out == {
        "batches: copy": 4,
        "epochs: copy": 1,
        "scalars: copy": 1,
        "statuses: copy": 1,
        "callbacks: copy": 1,
        "blocks: copy": 1,
        "commands: copy": 3,
    }
    assert [record.message.split(" (")[0] for record in caplog.records] == [
        "this is only a copy of session run"
    ]
    assert [(batch.epoch, batch.batch) for batch in bridge.batches] == [(0, 0), (0, 1)]
    assert session.stats.left_out == {}


def test_what_holds_a_session_can_be_copied():
    """A callback of a framework, for example; attributes of a class of one's own go with it."""
    session = Tagged(RecordingBridge(), session_id="run")
    session.tag = ["a"]
    copied = copy.deepcopy(
        {"session": session, "bridge": RecordingBridge(), "stats": session.stats}
    )
    session.close()

    assert type(copied["session"]) is Tagged
    assert copied["session"].tag == ["a"]
    assert copied["session"].tag is not session.tag
    assert copied["stats"].batches == 0


def test_a_bridge_that_records_can_be_copied():
    """With what it has recorded; a copy commands nobody."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0)
    copied = unpickled(pickle.dumps(bridge))

    assert copied.batches == bridge.batches
    with pytest.raises(RuntimeError, match="no session"):
        copied.send_command(CommandType.STOP_TRAINING)


@pytest.mark.parametrize("name", CALLS | COMMANDS)
def test_a_strict_copy_raises(name):
    """In tests of a loop, the mistake shows where it is made."""
    with TrainingSession(RecordingBridge(), session_id="run", strict=True) as session:
        other = copy.deepcopy(session)
        with pytest.raises(ValueError, match=r"only a copy of session run .* construct one here"):
            (CALLS | COMMANDS)[name](other)
        assert other.close() == 0


@pytest.mark.parametrize("name", CALLS)
def test_a_call_behind_the_end_is_counted(name, caplog):
    """Said once for a session, however many follow."""
    session = TrainingSession(RecordingBridge(), session_id="run")
    session.close()
    for _ in range(3):
        CALLS[name](session)
    session.log_batch(0.5, epoch=0, batch=0)

    counted = {f"{name}: after the end": 3}
    counted["batches: after the end"] = counted.get("batches: after the end", 0) + 1
    assert session.stats.left_out == counted
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "session run has ended" in caplog.text
    assert "make a new session" in caplog.text


@pytest.mark.parametrize("name", CALLS)
def test_a_strict_session_raises_behind_its_end(name):
    """Whether it was closed, or its block was left."""
    with TrainingSession(RecordingBridge(), strict=True) as session:
        session.log_batch(0.5, epoch=0, batch=0)

    with pytest.raises(ValueError, match="has ended"):
        CALLS[name](session)


def test_questions_behind_the_end_have_an_answer(caplog):
    """A loop may ask whether it was stopped after it has closed its session: nothing is lost by that."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, strict=True) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        bridge.send_command(CommandType.STOP_TRAINING)

    assert session.should_stop
    assert session.agree_to_stop()
    session.wait_while_paused()
    assert session.flush() == session.close() == 0
    assert caplog.records == []


def test_what_a_bridge_that_refuses_has_not_taken_is_counted(caplog):
    """Calls are kept while it may change its mind; then the end says what is lost, and goes on saying so."""
    bridge = FakeBridge()
    bridge.refuse_registration = "the name is taken"
    with serving(bridge):
        session = TrainingSession(bridge.address, session_id="run", strict=True)
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: session.stats.unacknowledged == 3, what="all of it waits")
        until_true(lambda: "the name is taken" in caplog.text, what="the refusal is logged")
        assert session.close(0) == session.flush() == session.close() == 4

    assert "session run is over" in caplog.text
    assert "4 messages were not delivered" in caplog.text


def test_calls_before_the_block_count():
    """The run begins with the first call, wherever the session was made."""
    bridge = RecordingBridge()
    session = TrainingSession(bridge, strict=True)
    session.log_scalars({"x": 1.0})
    session.log_batch(0.5, epoch=0, batch=0)
    with session:
        session.log_batch(0.5, epoch=0, batch=1)

    assert [batch.batch for batch in bridge.batches] == [0, 1]


def test_another_rank_says_nothing(monkeypatch, caplog):
    """Rank 0 reports for all; a strict session of another rank raises nothing, before and behind its end."""
    monkeypatch.setenv("RANK", "1")
    session = TrainingSession(RecordingBridge(), strict=True)
    for _ in range(2):
        for call in CALLS.values():
            call(session)
        session.close()

    assert session.stats.left_out == {}
    assert caplog.records == []
