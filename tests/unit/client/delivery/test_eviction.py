"""Statuses and epochs that a loop repeats while no bridge answers."""

import pytest

from bridge.client.calls import EpochCall, StatusCall
from bridge.client.delivery.backlog import Backlog
from bridge.client.delivery.eviction import make_room
from bridge.client.delivery.message import OVERHEAD_BYTES, OutgoingMessage, Priority
from bridge.client.encoding.encoder import Encoder
from bridge.client.identity import RunConfig
from bridge.client.left_out import LeftOut
from bridge.client.stats import Stats
from bridge.protocol import Status

LIMIT_BYTES = 20_000


@pytest.fixture
def backlog():
    """Return what holds some 80 messages."""
    return Backlog(LIMIT_BYTES, Stats())


@pytest.fixture
def encoder():
    """Return an encoder of a run that says nothing of itself."""
    return Encoder(RunConfig(), LeftOut())


def status(encoder, what=Status.RUNNING, message=""):
    """Return a status as a message."""
    return encoder.status(StatusCall(0.0, what, message), 0)


def epoch(encoder, number):
    """Return an epoch as a message."""
    return encoder.epoch(EpochCall(0.0, number, 0.5, None, None, None, None), 0)


def put(backlog, messages):
    """Add each message, and make room for it; return the most that memory held."""
    most = 0
    for message in messages:
        backlog.add(message)
        make_room(backlog)
        most = max(most, backlog.memory_bytes)
    return most


def left(backlog):
    """Return the sequences of what was kept."""
    return [message.sequence for message in backlog.unsent]


def test_a_status_a_step_stays_within_the_limit(backlog, encoder):
    """The first, which says since when, and the newest are kept; the others are counted as dropped."""
    most = put(backlog, (status(encoder, message=f"step {step}") for step in range(2_000)))

    assert most <= LIMIT_BYTES
    assert left(backlog)[0] == 1
    assert left(backlog)[-1] == 2_000
    assert backlog.stats.dropped == 2_000 - len(backlog)


def test_an_epoch_that_is_reported_at_each_step_stays_within_the_limit(backlog, encoder):
    """A loop that reports the averages so far says the same of an epoch again and again."""
    most = put(backlog, (epoch(encoder, step // 500) for step in range(2_000)))

    assert most <= LIMIT_BYTES
    assert {1, 501, 1_001, 1_501, 2_000} <= set(left(backlog))


def test_a_status_that_changes_and_each_new_epoch_stay(backlog, encoder):
    """However much they are: a run's history is never given up."""
    said = [
        message
        for number in range(300)
        for message in (
            status(encoder, Status.PAUSED),
            status(encoder, Status.RUNNING),
            epoch(encoder, number),
        )
    ]
    put(backlog, said)

    assert left(backlog) == [message.sequence for message in said]
    assert backlog.stats.dropped == 0


def test_nothing_is_dropped_while_there_is_room(backlog, encoder):
    """What is repeated is only given up for want of memory."""
    put(backlog, [status(encoder) for _ in range(20)])

    assert len(backlog) == 20


def test_what_is_repeated_goes_before_batches(backlog, encoder):
    """Statuses of every step must not cost the losses beside them."""
    batches = []
    for step in range(40):
        sequence = encoder._sequence = encoder._sequence + 1
        batches.append(OutgoingMessage(sequence, Priority.BATCH, bytes(50), batch=step))
        put(backlog, [batches[-1], *(status(encoder) for _ in range(5))])

    assert set(left(backlog)) >= {message.sequence for message in batches}
    assert backlog.memory_bytes <= LIMIT_BYTES


def test_what_was_delivered_makes_no_room_twice(backlog, encoder):
    """A long run with a bridge at hand marks as much as it likes: nothing of it is counted as dropped."""
    for _ in range(500):
        put(backlog, [status(encoder)])
        backlog.acknowledge(encoder._sequence)
    put(backlog, [status(encoder) for _ in range(2_000)])

    assert 0 < backlog.memory_bytes <= LIMIT_BYTES
    assert backlog.stats.acknowledged == 500
    assert backlog.stats.dropped + len(backlog) == 2_000
    assert backlog.memory_bytes == sum(len(one.body) + OVERHEAD_BYTES for one in backlog.unsent)
