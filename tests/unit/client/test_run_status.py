"""Statuses on their way to the queue of a session."""

from bridge.client.capture.call_queue import MIN_CALLS, CallQueue
from bridge.client.left_out import LeftOut, Reason
from bridge.client.run_status import RunStatus
from bridge.client.stats import Stats
from bridge.protocol import Status


def test_statuses_take_a_bounded_amount_of_memory():
    """A loop that reports one at every step loses those that are too many, and they are counted; the end stays."""
    queue, account = CallQueue(0), LeftOut()
    status = RunStatus(queue, account)

    for _ in range(10 * MIN_CALLS):
        status.report(Status.RUNNING)
    status.report(Status.COMPLETED)

    assert len(queue) == 2 * MIN_CALLS + 1
    assert account.of("statuses", Reason.MEMORY) == 8 * MIN_CALLS
    assert Stats().snapshot(account).dropped == 8 * MIN_CALLS
    assert status.is_over
    assert [call.status for call in queue.take(1_000)][-1] is Status.COMPLETED
