"""A session that waits for its bridge at the end says so."""

import time
from types import SimpleNamespace

import pytest

from bridge.client import last_wait
from bridge.client.delivery.failure import ConnectionFailure
from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.delivery.outbox import Outbox
from bridge.client.stats import Stats


@pytest.fixture
def outbox():
    """Return an outbox with three messages that nobody takes."""
    one = Outbox(1 << 20, Stats())
    one.put(OutgoingMessage(sequence, Priority.BATCH, b"") for sequence in (1, 2, 3))
    one.close()
    return one


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(last_wait, "SILENT_SECONDS", 0.01)
    monkeypatch.setattr(last_wait, "LEAST_SECONDS", 0.01)


def wait(outbox, seconds, failure=None):
    """Wait as the end of a session does."""
    transport = SimpleNamespace(session_id="run", failure=failure)
    last_wait.wait_until_drained(outbox, time.monotonic() + seconds, transport)


def test_a_long_wait_says_what_for_and_how_long(outbox, caplog):
    """A prompt that does not come back would be a riddle."""
    wait(outbox, 0.2)

    (record,) = caplog.records
    assert record.getMessage().startswith("session run: waiting up to 0 s more (close_seconds)")
    assert record.getMessage().endswith("until the bridge has the last 3 messages")


def test_a_long_wait_says_why_there_is_no_connection(outbox, caplog):
    """Somebody may end the process that holds the name."""
    wait(outbox, 0.2, ConnectionFailure("held by another", is_refusal=True))

    (record,) = caplog.records
    assert record.getMessage().endswith("until the bridge has the last 3 messages: held by another")


def test_nothing_is_said_where_nobody_waits(outbox, caplog):
    """Delivered already, too short, or given up."""
    wait(outbox, 0.015)
    outbox.give_up()
    wait(outbox, 5.0)
    outbox.acknowledge(3)
    wait(outbox, 5.0)

    assert not caplog.records
