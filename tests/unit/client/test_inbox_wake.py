"""Who takes items is woken when it rests, and not otherwise."""

import threading
import time

import pytest
from support.waiting import until_true

from bridge.client.inbox import EpochItem, Inbox, ScalarsItem, StatusItem
from bridge.client.stats import Stats
from bridge.client.words import Status

PUTS = {
    "batch": lambda inbox: inbox.put_batch(0.5, 0, 0, None, None, None, None),
    "epoch": lambda inbox: inbox.put(EpochItem(0.0, 0, 0.5, None, None, None, None)),
    "scalars": lambda inbox: inbox.put_scalars(ScalarsItem(0.0, {"a": 1.0}, 0, 0)),
    "status": lambda inbox: inbox.put(StatusItem(0.0, Status.RUNNING, "")),
}


@pytest.mark.parametrize("put", PUTS.values(), ids=PUTS)
def test_only_a_watched_inbox_wakes(put):
    """Setting an event costs the loop more than keeping an item, so it happens only when it is needed."""
    inbox = Inbox(1 << 20, Stats())

    put(inbox)
    assert not inbox.wake.is_set()

    inbox.is_watched = True
    put(inbox)
    assert inbox.wake.is_set()


def test_items_come_in_order_and_in_portions():
    """The oldest first, at most as many as asked for, and none twice."""
    inbox = Inbox(1 << 20, Stats())
    for batch in range(5):
        inbox.put_batch(0.5, 0, batch, None, None, None, None)

    assert [item.batch for item in inbox.take(3)] == [0, 1, 2]
    assert len(inbox) == 2
    assert [item.batch for item in inbox.take(3)] == [3, 4]
    assert inbox.take(3) == []


def test_a_batch_is_dated_when_it_is_said():
    """Not when somebody looks at it: durations are those of the loop."""
    inbox = Inbox(1 << 20, Stats())
    before = time.monotonic()
    inbox.put_batch(0.5, 0, 0, None, None, None, None)
    after = time.monotonic()

    (item,) = inbox.take(1)

    assert before <= item.at <= after


def test_room_that_was_freed_is_used_again():
    """What has been taken no longer counts, neither its images nor itself."""
    stats = Stats()
    inbox = Inbox(4_000, stats)
    for _ in range(10):
        inbox.put_batch(0.5, 0, 0, [b"x" * 900], None, None, None)
        (item,) = inbox.take(5)
        assert item.images is not None

    assert (stats.images_shed, stats.dropped) == (0, 0)


def test_putting_and_taking_at_once_loses_nothing():
    """The loop appends without a lock while another thread takes."""
    inbox = Inbox(64 << 20, Stats())
    taken = []
    total = 5_000
    done = threading.Event()

    def take() -> None:
        while not (done.is_set() and not len(inbox)):
            taken.extend(item.batch for item in inbox.take(100))

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    for batch in range(total):
        inbox.put_batch(0.5, 0, batch, None, None, None, None)
    done.set()
    until_true(lambda: not thread.is_alive(), what="everything is taken")

    assert taken == list(range(total))
