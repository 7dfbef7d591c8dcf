"""How the parts of a session are stopped, within a bounded time, whatever they are in the middle of."""

import threading
import time
from typing import NamedTuple

from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.capture import Capture
from bridge.client.capture.collector import Collector
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.transport import Transport
from bridge.client.left_out import LeftOut, Reason
from bridge.client.spool.worker import SpoolWorker

STOP_SECONDS = 0.8
"""How much longer than it was given the end of a session may take: for its threads, and for the disk."""

LAST_WORD_SECONDS = 0.2
"""How long a bridge that has everything may take to end the stream."""

COLLECT_SHARE = 0.5
"""Of that, so much is left to the numbers that have not been encoded yet, where a spool keeps them."""


class Parts(NamedTuple):
    """The parts of a session that work in threads, and what they leave behind."""

    queue: CallQueue
    capture: Capture
    collector: Collector
    outbox: Outbox
    transport: Transport
    spool: SpoolWorker | None
    accounts: tuple[LeftOut, LeftOut, LeftOut]
    """What the loop's calls have left out, what the SDK's thread has, and what the end does."""


def stop(parts: Parts, collecting: threading.Thread, sending: threading.Thread) -> int:
    """Take all threads out of what they do, within `STOP_SECONDS`; return how many messages are left."""
    deadline = time.monotonic() + STOP_SECONDS
    account = parts.accounts[-1]
    parts.collector.deadlines.expire()
    parts.queue.close()  # an interrupt may have come before
    if parts.outbox.is_done:
        sending.join(LAST_WORD_SECONDS)  # the bridge may still report what became of images
    parts.transport.stop()
    if parts.spool is not None:
        collecting.join(STOP_SECONDS * COLLECT_SHARE)
    abandoned = parts.collector.abandon(account)
    parts.outbox.abandon()
    if parts.spool is None:
        collecting.join(max(0.0, deadline - time.monotonic()))
    in_hand = parts.queue.in_hand  # read before the outbox, into which they go: none is missed
    left = in_hand + parts.outbox.wait_until_delivered(0.0) + parts.collector.abandoned_in_hand
    if parts.spool is not None:
        parts.spool.close(max(0.0, deadline - time.monotonic()))
    sending.join(max(0.0, deadline - time.monotonic()))
    parts.capture.wait_for_caller(deadline)
    parts.capture.close()
    if parts.capture.was_interrupted and not collecting.is_alive():
        # Between two steps of one of those calls its images may have belonged to nobody.
        waiting = parts.outbox.stats(*parts.accounts).images_waiting
        account.add("images", Reason.RAISED, max(0, waiting))
    return left + abandoned
