"""The collector ends when its input does, and then closes the input of the next stage."""

import threading

import pytest

from bridge.client.calls import BatchCall, FlushCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.capture import Capture
from bridge.client.capture.collector import Collector
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.identity import RunConfig
from bridge.client.left_out import LeftOut
from bridge.client.phase_report import PhaseReport
from bridge.client.phases import PhaseClock
from bridge.client.resource_usage import ResourceMonitor
from bridge.client.stats import Stats

PATIENCE_SECONDS = 10.0
LIMIT_BYTES = 1 << 20


class Stages:
    """A queue, a collector that empties it, and the outbox after it."""

    def __init__(self):
        self.queue = CallQueue(LIMIT_BYTES)
        self.outbox = Outbox(LIMIT_BYTES, Stats())
        self.left_out = LeftOut()

        def server_config():
            return ServerConfig(is_received=True)

        capture = Capture(
            self.queue, LIMIT_BYTES, server_config=server_config, left_out=self.left_out
        )
        self.collector = Collector(
            self.queue,
            capture,
            self.outbox,
            RunConfig(),
            server_config=server_config,
            left_out=self.left_out,
            resources=ResourceMonitor(None, gpus="none"),
            phases=PhaseReport(PhaseClock(self.left_out).read),
        )
        self.thread = threading.Thread(target=self.collector.run, daemon=True)

    def has_ended(self):
        """Wait for the thread; return whether it has ended."""
        self.thread.join(PATIENCE_SECONDS)
        return not self.thread.is_alive()


@pytest.fixture
def stages():
    """Return stages that have not been started."""
    return Stages()


def batches(queue, count):
    """Put numbered batches into a queue."""
    for batch in range(count):
        queue.put(BatchCall(0.0, 0.5, 0, batch))


def test_a_closed_queue_closes_the_outbox_after_its_last_message(stages):
    """All calls put before are messages by then, however many portions that takes."""
    batches(stages.queue, 2_000)
    stages.queue.close()
    stages.thread.start()

    assert stages.has_ended()
    assert stages.outbox.is_closed
    assert stages.outbox.stats().batches == 2_000


def test_closing_wakes_an_idle_collector(stages):
    """It is woken, rather than polling for the end."""
    marker = FlushCall(0.0, threading.Event())
    stages.thread.start()
    stages.queue.put(marker)
    assert marker.done.wait(PATIENCE_SECONDS)

    stages.queue.close()

    assert stages.has_ended()
    assert stages.outbox.is_closed


def test_a_flush_ends_after_the_calls_before_it(stages):
    """When it is done, their messages are in the outbox."""
    marker = FlushCall(0.0, threading.Event())
    batches(stages.queue, 600)
    stages.queue.put(marker)
    stages.thread.start()

    assert marker.done.wait(PATIENCE_SECONDS)
    assert stages.outbox.stats().batches == 600
    stages.queue.close()
    assert stages.has_ended()


def test_abandoned_calls_are_counted_and_flushes_end(stages):
    """A session that has no time left counts the calls it did not encode, and keeps no thread waiting."""
    account, marker = LeftOut(), FlushCall(0.0, threading.Event())
    batches(stages.queue, 3)
    stages.queue.put(marker)

    assert stages.collector.abandon(account) == 3
    assert sum(account.counts.values()) == 3
    assert marker.done.is_set()
    stages.thread.start()
    assert stages.has_ended()
    assert stages.outbox.is_done
