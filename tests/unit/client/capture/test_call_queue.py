"""The queue of captured calls: bounded, in order, waking the collector only while that waits."""

import threading

import pytest
from support.waiting import until_true

from bridge.client.calls import BatchCall, EpochCall, ScalarsCall, StatusCall
from bridge.client.capture.call_queue import CallQueue
from bridge.protocol import Status

CALLS = {
    "batch": BatchCall(0.0, 0.5, 0, 0),
    "epoch": EpochCall(0.0, 0, 0.5, None, None, None, None),
    "scalars": ScalarsCall(0.0, {"a": 1.0}, 0, 0),
    "status": StatusCall(0.0, Status.RUNNING, ""),
}


class Transfer:
    """Copies that have not arrived yet."""

    has_arrived = False


def batches(count):
    """Return numbered calls."""
    return [BatchCall(0.0, 0.5, 0, batch) for batch in range(count)]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_only_a_watched_queue_wakes(call):
    """Setting the flag costs the loop more than appending a call, so it is set only when needed."""
    queue = CallQueue(1 << 20)

    queue.put(call)
    assert not queue.wake.is_set()

    queue.is_watched = True
    queue.put(call)
    assert queue.wake.is_set()


def test_calls_are_taken_in_order_and_in_portions():
    """The oldest first, at most as many as asked for, and none twice."""
    queue = CallQueue(1 << 20)
    for call in batches(5):
        queue.put(call)

    assert [call.batch for call in queue.take(3)] == [0, 1, 2]
    assert len(queue) == 2
    assert [call.batch for call in queue.take(3)] == [3, 4]
    assert queue.take(3) == []


def test_it_is_bounded():
    """It reports that it is full; calls that must never be lost are kept all the same."""
    queue = CallQueue(512 * 100)
    for call in batches(100):
        assert not queue.is_full
        queue.put(call)

    assert queue.is_full
    queue.put(CALLS["epoch"])
    assert len(queue) == 101


def test_nothing_overtakes_what_has_not_arrived():
    """Messages are numbered in the order of the calls, so calls after one whose copies are missing wait too."""
    queue = CallQueue(1 << 20)
    transfer = Transfer()
    queue.put(BatchCall(0.0, 0.5, 0, 0))
    queue.put(BatchCall(0.0, 0.5, 0, 1, transfer=transfer))
    queue.put(BatchCall(0.0, 0.5, 0, 2))

    assert [call.batch for call in queue.take(9)] == [0]
    assert queue.take(9) == []
    transfer.has_arrived = True
    assert [call.batch for call in queue.take(9)] == [1, 2]


def test_a_closed_queue_keeps_nothing():
    """What was left is returned once; after that nothing is kept, and nothing wakes the collector."""
    queue = CallQueue(1 << 20)
    queue.is_watched = True
    for call in batches(2):
        queue.put(call)
    queue.wake.clear()

    assert queue.abandon() == batches(2)
    for call in batches(3):
        queue.put(call)

    assert queue.abandon() == []
    assert len(queue) == 0
    assert not queue.wake.is_set()


def test_putting_and_taking_at_once_loses_nothing():
    """The loop appends without a lock while another thread takes."""
    queue = CallQueue(64 << 20)
    taken = []
    total = 5_000
    done = threading.Event()

    def take() -> None:
        while not (done.is_set() and not len(queue)):
            taken.extend(call.batch for call in queue.take(100))

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    for call in batches(total):
        queue.put(call)
    done.set()
    until_true(lambda: not thread.is_alive(), what="everything is taken")

    assert taken == list(range(total))


def test_numbers_alone_come_out_as_the_batch_they_are():
    """At their place among the others, and indistinguishable from them."""
    queue = CallQueue(1 << 20)
    queue.put(CALLS["epoch"])
    assert queue.put_numbers((1.0, 0.5, 2, 3))
    queue.put(CALLS["status"])

    assert queue.take(10) == [CALLS["epoch"], BatchCall(1.0, 0.5, 2, 3), CALLS["status"]]


def test_numbers_find_room_or_say_that_there_is_none():
    """The bound is the same as for any batch, and the collector is woken."""
    queue = CallQueue(0)
    queue.is_watched = True
    taken = 0
    while queue.put_numbers((0.0, 0.5, 0, taken)):
        taken += 1

    assert queue.wake.is_set()
    assert queue.is_full
    assert len(queue) == taken


def test_a_closed_queue_returns_its_calls_and_accepts_no_others():
    """The collector is woken for the remaining calls, and can then tell that there are no more."""
    queue = CallQueue(1 << 20)
    for call in batches(3):
        queue.put(call)

    queue.close()
    assert queue.wake.is_set()
    queue.put(CALLS["epoch"])
    queue.put_numbers((1.0, 0.5, 2, 3))

    assert queue.take(2) == batches(2)
    assert not queue.is_drained
    assert queue.take(2) == batches(3)[2:]
    assert queue.is_drained


def test_what_was_taken_is_unfinished_until_it_is_in_the_outbox():
    """A count of what is left must include what is between two stages."""
    queue = CallQueue(1 << 20)
    for call in batches(3):
        queue.put(call)
    queue.take(2)

    assert queue.unfinished == 3
    queue.in_hand = 0
    assert queue.unfinished == 1
