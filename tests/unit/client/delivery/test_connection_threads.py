"""What becomes of a connection where Python, or the system, starts no more threads: gRPC needs its own."""

import logging

import pytest
from support.fake_bridge import FakeBridge, serving

from bridge.client import TrainingSession
from bridge.client.delivery import connection

register = connection.register


@pytest.fixture
def bridge():
    """Return the address of a bridge."""
    with serving(FakeBridge()) as bridge:
        yield bridge


def refuse(monkeypatch, text, times):
    """Have so many attempts to register fail as where no thread can be started."""
    left = [RuntimeError(text)] * times

    def register_or_fail(*arguments):
        if left:
            raise left.pop()
        return register(*arguments)

    monkeypatch.setattr(connection, "register", register_or_fail)


@pytest.mark.timeout(60)
def test_a_python_that_is_ending_says_so(bridge, monkeypatch, caplog):
    """Python 3.12.0 to 3.12.2: nothing can be sent any more, nobody is kept waiting, and the log says why."""
    refuse(monkeypatch, "can't create new thread at interpreter shutdown", 1_000)
    session = TrainingSession(bridge.address)
    session.log_batch(0.5, epoch=0, batch=0)

    assert session.close(100) == 4
    (reason,) = [record.message for record in caplog.records if bridge.address in record.message]
    assert "this process is ending" in reason
    assert "close the session, or leave its `with` block, before the program ends" in reason
    assert "3.12.0 to 3.12.2" in reason


def test_a_system_that_is_out_of_threads_is_tried_again(bridge, monkeypatch, caplog):
    """It may have some later; the warning names what is missing."""
    refuse(monkeypatch, "can't start new thread", 1)
    with caplog.at_level(logging.WARNING), TrainingSession(bridge.address) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        assert session.flush(60) == 0

    assert bridge.batches() == [(0, 0)]
    assert "can't start new thread" in caplog.text
