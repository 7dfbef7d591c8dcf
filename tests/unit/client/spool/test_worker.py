"""An outbox with a spool: more than memory holds, in order, whatever the disk does."""

import errno
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spools import outgoing_message, reopened, sequences, spool_in
from support.waiting import until_true

from bridge.client.delivery.message import Priority
from bridge.client.delivery.outbox import Outbox
from bridge.client.spool import worker as module
from bridge.client.spool.folder import folders_in
from bridge.client.spool.worker import SpoolWorker
from bridge.client.stats import Notices, Stats

PLENTY = 1 << 40
MEMORY_BYTES = 20_000


class Delivery:
    """An outbox with a spool, and what a bridge at the other end has got."""

    def __init__(self, spool, *, memory_bytes=MEMORY_BYTES):
        self.stats = Stats()
        self.outbox = Outbox(memory_bytes, self.stats)
        self.spool = spool
        self.worker = SpoolWorker(spool, self.outbox, stats=self.stats, notices=Notices())
        self.last = 0
        self.highest_bytes = 0
        self.got = []
        self.stream = self.outbox.open_stream()

    def put(self, count=1, priority=Priority.BATCH, **options):
        """Say something; as much at once as a collector does."""
        numbers = range(self.last + 1, self.last + count + 1)
        self.last += count
        self.outbox.put([outgoing_message(number, priority, **options) for number in numbers])
        self.highest_bytes = max(self.highest_bytes, self.outbox._backlog.memory_bytes)

    def take(self, seconds=0.0):
        """Return the next frame, as it is sent."""
        frame = self.outbox.take_frame(
            self.stream,
            window_bytes=PLENTY,
            message_bytes=PLENTY,
            deadline=time.monotonic() + seconds,
        )
        self.got += map(replace, frame or [])  # the outbox lets go of its own
        self.highest_bytes = max(self.highest_bytes, self.outbox._backlog.memory_bytes)
        return frame

    def acknowledge(self):
        """Let the bridge commit what it has."""
        if self.got:
            self.outbox.acknowledge(self.got[-1].sequence)

    def reconnect(self):
        """Break the stream; what was not acknowledged is sent again."""
        self.stream = self.outbox.open_stream()
        self.got = [
            message for message in self.got if message.sequence <= self.outbox.acked_through
        ]

    def deliver(self):
        """Take and acknowledge all that there is."""
        deadline = time.monotonic() + 20
        while self.stats.unacknowledged and time.monotonic() < deadline:
            self.take(0.2)
            self.acknowledge()
        assert not self.stats.unacknowledged


@contextmanager
def delivering(root, *, limit_bytes=1 << 30, **options):
    """Run the threads of a spool with the block."""
    delivery = Delivery(spool_in(root, limit_bytes=limit_bytes), **options)
    delivery.worker.start()
    try:
        yield delivery
    finally:
        delivery.worker.close(10)


def test_an_outage_longer_than_memory_loses_nothing(tmp_path):
    """What does not fit is read back in order when its turn comes, and memory stays bounded."""
    with delivering(tmp_path) as delivery:
        for _ in range(100):
            delivery.put(20)
        assert delivery.stats.unacknowledged == 2_000
        delivery.deliver()

    assert sequences(delivery.got) == list(range(1, 2_001))
    assert (delivery.stats.dropped, delivery.stats.batches_acknowledged) == (0, 2_000)
    assert delivery.highest_bytes <= MEMORY_BYTES
    assert delivery.outbox._backlog.memory_bytes == 0


def test_memory_stays_bounded_while_a_frozen_bridge_holds_a_window(tmp_path):
    """Half of it may be on its way, since that cannot be left to the disk."""
    with delivering(tmp_path) as delivery:
        for _ in range(50):
            delivery.put(20)
            delivery.take()
        assert delivery.highest_bytes <= MEMORY_BYTES
        delivery.reconnect()
        delivery.deliver()

    assert sequences(delivery.got) == list(range(1, 1_001))
    assert delivery.stats.dropped == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 30)),
        st.tuples(st.just("images"), st.integers(1, 4)),
        st.tuples(st.just("take"), st.none()),
        st.tuples(st.just("acknowledge"), st.none()),
        st.tuples(st.just("reconnect"), st.none()),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(STEPS, st.integers(4_000, 40_000))
def test_order_and_number_survive_whatever_happens(steps, memory_bytes):
    """Each message arrives once, with its images, in order; the books agree at every step."""
    root = Path(tempfile.mkdtemp())
    with delivering(root, memory_bytes=memory_bytes) as delivery:
        images = 0
        for step, value in steps:
            if step == "put":
                delivery.put(value)
            elif step == "images":
                delivery.put(1, images=value)
                images += value
            else:
                getattr(delivery, step)()
            stats = delivery.stats
            assert stats.messages == delivery.last == stats.acknowledged + stats.unacknowledged
        delivery.reconnect()
        delivery.deliver()
    shutil.rmtree(root)

    assert sequences(delivery.got) == list(range(1, delivery.last + 1))
    assert sum(message.images for message in delivery.got) == images == delivery.stats.images_sent
    assert (delivery.stats.dropped, delivery.stats.images_shed) == (0, 0)


MESSAGES = st.lists(
    st.tuples(st.sampled_from(Priority), st.integers(0, 4)), min_size=1, max_size=40
)


@settings(deadline=None, max_examples=40)
@given(MESSAGES, st.integers(1, 20), st.integers(0, 40))
def test_a_full_spool_keeps_its_promises(messages, rounds, taken_at):
    """Precious messages arrive, what is shed is counted, and the books balance."""
    root = Path(tempfile.mkdtemp())
    with delivering(root, limit_bytes=1 << 14, memory_bytes=6_000) as delivery:
        precious = []
        said = 0
        for place, (priority, images) in enumerate(messages * rounds):
            count = images if priority is Priority.BATCH else 0
            delivery.put(1, priority, images=count)
            said += count
            precious += [] if priority.may_be_dropped else [delivery.last]
            if place == taken_at:
                delivery.take()
        delivery.reconnect()
        delivery.deliver()
    shutil.rmtree(root)

    stats = delivery.stats
    got = sequences(delivery.got)
    assert got == sorted(set(got))
    assert set(precious) <= set(got)
    assert stats.messages == delivery.last == stats.acknowledged + stats.dropped
    assert len(got) == stats.acknowledged
    assert stats.images_sent + stats.images_shed == said
    assert sum(message.images for message in delivery.got) == stats.images_sent


def test_images_go_before_numbers_on_the_disk_too(tmp_path):
    """At the spool's limit, as in memory; the oldest first."""
    with delivering(tmp_path, limit_bytes=1 << 16) as delivery:
        for _ in range(400):
            delivery.put(1, images=3)
        until_true(lambda: delivery.stats.images_shed, what="the spool makes room")
        assert delivery.stats.dropped == 0
        delivery.deliver()

    with_images = [message.images > 0 for message in delivery.got]
    assert len(with_images) == 400
    assert with_images == sorted(with_images), "the oldest lost theirs"
    assert any(with_images)


class BadDisk:
    """A spool whose disk does not take anything until a test says so."""

    def __init__(self, spool):
        self._spool = spool
        self.error = OSError(errno.ENOSPC, "No space left on device")
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __getattr__(self, name):
        return getattr(self._spool, name)

    def append(self, messages):
        self.may_answer.wait(60)
        if self.error:
            raise self.error
        self._spool.append(messages)


def test_a_full_disk_is_noted_once_and_memory_is_what_is_left(tmp_path, caplog, monkeypatch):
    """Nothing raises, the outbox sheds as without a spool, and what is in memory is delivered."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    delivery = Delivery(BadDisk(spool_in(tmp_path)))
    delivery.worker.start()
    for _ in range(200):
        delivery.put(20)
    until_true(lambda: delivery.stats.spool_faults > 3, what="it is tried again")

    assert delivery.outbox._backlog.memory_bytes <= MEMORY_BYTES
    assert delivery.stats.dropped > 0
    assert len([r for r in caplog.records if "No space left" in r.getMessage()]) == 1
    delivery.deliver()
    assert delivery.stats.acknowledged + delivery.stats.dropped == 4_000
    delivery.worker.close(10)


def test_a_disk_that_has_room_again_is_used_again(tmp_path, monkeypatch):
    """What memory still holds is written then, behind what was written before."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    disk = BadDisk(spool_in(tmp_path))
    delivery = Delivery(disk)
    delivery.worker.start()
    delivery.put(30)
    until_true(lambda: delivery.stats.spool_faults, what="the disk is full")
    disk.error = None
    until_true(lambda: disk.last == 30, what="the disk has room again")
    for _ in range(20):
        delivery.put(30)
    delivery.deliver()
    delivery.worker.close(10)

    assert sequences(delivery.got) == list(range(1, 631))
    assert delivery.stats.dropped == 0


def test_a_disk_that_does_not_answer_holds_up_no_delivery(tmp_path):
    """A dead network share, say: the bridge gets everything, and closing ends when it must."""
    disk = BadDisk(spool_in(tmp_path))
    disk.error = None
    disk.may_answer.clear()
    delivery = Delivery(disk)
    delivery.worker.start()
    for _ in range(50):
        delivery.put(20)
        delivery.take()
        delivery.acknowledge()
    started = time.monotonic()
    delivery.worker.close(0.2)

    assert time.monotonic() - started < 50
    assert sequences(delivery.got) == list(range(1, 1_001))
    assert delivery.stats.dropped == 0
    disk.may_answer.set()


def test_a_spool_that_cannot_be_read_is_given_up(tmp_path, monkeypatch):
    """Somebody has deleted it: what was in it is counted as lost, and what comes after is delivered."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    with delivering(tmp_path) as delivery:
        for _ in range(50):
            delivery.put(20)
        shutil.rmtree(delivery.spool.path)
        delivery.deliver()

        assert 0 < delivery.stats.dropped < 1_000
        assert delivery.stats.acknowledged == 1_000 - delivery.stats.dropped
        delivery.put(5)
        delivery.deliver()
    assert sequences(delivery.got)[-5:] == [1001, 1002, 1003, 1004, 1005]


@pytest.mark.parametrize("at", [0, 40, 47, 2_000])
def test_a_spool_that_is_damaged_while_it_is_used_costs_what_is_damaged(tmp_path, at, caplog):
    """During an outage: that is counted as dropped and said once, all else arrives, and nothing waits."""
    with delivering(tmp_path, limit_bytes=1 << 18) as delivery:
        for _ in range(100):
            delivery.put(20)
        file = sorted(delivery.spool.path.glob("*.spool"))[1]
        content = bytearray(file.read_bytes())
        content[at] ^= 0x80
        file.write_bytes(content)
        for _ in range(10):
            delivery.put(20)
        delivery.deliver()
        delivery.outbox.close()

    stats = delivery.stats
    assert stats.dropped == (0 if at == 0 else 1)
    assert stats.acknowledged + stats.dropped == delivery.last == 2_200
    assert len(set(sequences(delivery.got))) == len(delivery.got) == stats.acknowledged
    assert len([record for record in caplog.records if "damaged" in record.getMessage()]) == 1


def test_one_file_that_is_gone_costs_no_other(tmp_path):
    """Somebody has deleted it; those behind it are read at once."""
    with delivering(tmp_path, limit_bytes=1 << 18) as delivery:
        for _ in range(150):
            delivery.put(20)
        names = sorted(delivery.spool.path.glob("*.spool"))
        names[1].unlink()
        delivery.deliver()

    assert 0 < delivery.stats.dropped < 3_000 / len(names) * 2
    assert sequences(delivery.got)[-1] == 3_000


def test_what_is_delivered_leaves_nothing_behind(tmp_path):
    """The folder of a session that is over is removed."""
    with delivering(tmp_path) as delivery:
        delivery.put(100)
        delivery.outbox.close()
        delivery.deliver()

    assert list(tmp_path.iterdir()) == []
    assert delivery.stats.kept == 0


@pytest.mark.parametrize("finished", [True, False])
def test_what_is_not_delivered_is_left_for_later(tmp_path, finished):
    """All of it, and no more of what has been acknowledged than must be."""
    with delivering(tmp_path) as delivery:
        delivery.put(500)
        delivery.take(1)
        delivery.outbox.acknowledge(120)
        if finished:
            delivery.outbox.close()

    (path,) = folders_in(tmp_path)
    found = reopened(path)
    assert delivery.stats.kept == 380
    assert found.count_unacknowledged() == (380, 380)
    assert sequences(found.read(120, PLENTY)) == list(range(121, 501))


def test_acknowledgments_reach_the_disk_by_themselves(tmp_path, monkeypatch):
    """A process that is killed later has not kept what was delivered long before."""
    monkeypatch.setattr(module, "HOUSEKEEPING_SECONDS", 0.01)
    with delivering(tmp_path, limit_bytes=1 << 16) as delivery:
        for _ in range(100):
            delivery.put(20)
        files = len(list(delivery.spool.path.glob("*.spool")))
        delivery.deliver()
        until_true(
            lambda: len(list(delivery.spool.path.glob("*.spool"))) == 1, what="files are deleted"
        )
        until_true(lambda: delivery.spool.acked_through == 2_000, what="it is noted")
    assert files > 1
