"""The end of a session comes in time, whatever its threads are in the middle of."""

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from support.disks import small_disk
from support.fake_bridge import FakeBridge, serving
from support.ports import free_port
from support.stopped import stopped_process
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.calls import BatchCall
from bridge.client.capture.call_encoder import CallEncoder
from bridge.client.capture.device import DeviceCopies
from bridge.client.capture.wakeup import Wakeup
from bridge.client.encoding import images
from bridge.client.testing import RecordingBridge

NEVER = 30.0
"""Seconds; longer than any of these tests waits for an end."""

MORE_SECONDS = 20.0
"""So much longer than its deadline the end of a session may take, on a busy machine."""


class Slow(np.ndarray):
    """A picture whose encoding stands still until it may go on."""

    may_go_on = threading.Event()
    is_begun = threading.Event()

    def __array_ufunc__(self, *_, **__):
        self.stand_still()

    def __array_function__(self, *_, **__):
        self.stand_still()

    def stand_still(self):
        """Wait, as in a call into foreign code that takes its time."""
        self.is_begun.set()
        self.may_go_on.wait(NEVER)
        raise ValueError("no picture after all")


@pytest.fixture
def slow():
    """Return a picture that takes longer than any session has."""
    Slow.may_go_on.clear()
    Slow.is_begun.clear()
    yield np.zeros((8, 8, 3)).view(Slow)
    Slow.may_go_on.set()


@contextmanager
def within(seconds):
    """Fail where a block takes longer than `seconds` and what the end of a session may take more."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds + MORE_SECONDS


@pytest.fixture
def frozen_address():
    """Return the address of a process that has opened a port and was stopped."""
    with stopped_process() as address:
        yield address


def refusing():
    """Return a bridge that takes no session."""
    bridge = FakeBridge()
    bridge.refuse_registration = "no"
    return bridge


def reading_nothing():
    """Return a bridge that opens a stream and reads nothing of it."""
    bridge = FakeBridge()
    bridge.may_read.clear()
    return bridge


def fill(session):
    """Log batches with images, and without."""
    for batch in range(200):
        session.log_batch(
            float(batch), epoch=0, batch=batch, images=np.zeros((16, 64, 64), np.uint8)
        )
        session.log_batch(0.5, epoch=1, batch=batch)


@pytest.mark.parametrize("timeout", [0.0, 0.3])
@pytest.mark.parametrize("make", [refusing, reading_nothing])
def test_close_and_flush_end_in_time_with_a_bridge_that_takes_nothing(make, timeout):
    """Both return what is left."""
    with serving(make()) as bridge:
        session = TrainingSession(bridge.address)
        fill(session)
        with within(timeout):
            assert session.flush(timeout)
        with within(timeout):
            assert session.close(timeout)


@pytest.mark.parametrize("timeout", [0.0, 0.3])
def test_close_and_flush_end_in_time_with_a_bridge_that_is_stopped(frozen_address, timeout):
    """Even the registration is not answered then."""
    session = TrainingSession(frozen_address)
    fill(session)
    with within(timeout):
        assert session.flush(timeout)
    with within(timeout):
        assert session.close(timeout)


def test_the_block_is_left_in_time(frozen_address):
    """`close_seconds` holds there."""
    with within(0.2), TrainingSession(frozen_address, close_seconds=0.2) as session:
        fill(session)


def test_an_image_that_takes_its_time_is_not_waited_for(slow):
    """The images behind it are left out and counted; all numbers of the other batches arrive."""
    bridge = RecordingBridge()
    session = TrainingSession(bridge)
    session.log_batch(1.0, epoch=0, batch=0, images=[slow] * 4)
    until_true(Slow.is_begun.is_set, what="it is being encoded")
    for batch in range(1, 9):
        session.log_batch(1.0, epoch=0, batch=batch, images=[np.zeros((8, 8), np.uint8)])
    with within(0.2):
        assert session.flush(0.2)
    with within(0.3):
        assert session.close(0.3)
    Slow.may_go_on.set()
    until_true(lambda: not session.stats.images_waiting, what="the thread has come out of it")

    assert session.stats.left_out["images: closed"] == 3 + 8
    assert session.stats.images_unreadable == 1


def test_images_make_way_for_numbers_when_the_time_is_over(monkeypatch):
    """A session that has more images than it can encode in its last seconds still says how it ended."""
    encode = images.jpeg_of_pixels

    def slowly(*arguments, **options):
        time.sleep(0.01)
        return encode(*arguments, **options)

    monkeypatch.setattr(images, "jpeg_of_pixels", slowly)
    bridge = RecordingBridge()
    session = TrainingSession(bridge)
    for batch in range(60):
        session.log_batch(1.0, epoch=0, batch=batch, images=np.zeros((16, 8, 8, 3), np.uint8))
    assert session.close(2.0) == 0

    assert [batch.batch for batch in bridge.batches] == list(range(60))
    assert bridge.statuses[-1][0].name == "COMPLETED"
    assert session.stats.left_out["images: closed"] > 0
    assert session.stats.images_waiting == 0


def test_what_was_taken_and_never_encoded_is_not_delivered(monkeypatch):
    """A session that is closed between the two returns how many messages that were."""
    is_taken = threading.Event()

    def look(encoder, calls):
        if any(type(call) is BatchCall for call in calls):
            is_taken.set()
            until_true(session._runtime.queue.is_abandoned)

    monkeypatch.setattr(CallEncoder, "look", look)
    session = TrainingSession(RecordingBridge())
    for batch in range(5):
        session.log_batch(0.5, epoch=0, batch=batch)
    until_true(is_taken.is_set)

    assert session.close(0.0) >= 5


def test_a_full_disk_does_not_hold_up_the_end(tmp_path, frozen_address):
    """What a spool cannot take is lost in time."""
    with small_disk(tmp_path / "disk", size_bytes=1 << 20) as disk:
        session = TrainingSession(frozen_address, spool_dir=disk.folder)
        disk.fill()
        fill(session)
        with within(0.2):
            assert session.flush(0.2)
        with within(0.2):
            assert session.close(0.2)


def test_a_copy_that_never_arrives_does_not_hold_up_the_end():
    """A device that has failed costs what lies on it, also where thousands of copies wait."""
    torch = pytest.importorskip("torch")
    from support.fake_device import FakeDevice  # noqa: PLC0415 -- it needs PyTorch

    bridge, device = RecordingBridge(), FakeDevice()
    session = TrainingSession(bridge)
    session._capture._values.devices = DeviceCopies(device)
    loss, pictures = device.tensor([0.5]), device.put(torch.zeros(2, 3, 8, 8))
    for batch in range(2_000):
        session.log_batch(loss, epoch=0, batch=batch, images=pictures if batch < 20 else None)
    with within(0.2):
        assert session.flush(0.2) > 0
    with within(3):
        assert session.close(3) == 0

    assert [batch.loss for batch in bridge.batches] == [None] * 2_000
    assert session.stats.left_out["loss: device"] == 2_000
    assert session.stats.images_waiting == 0


@pytest.mark.parametrize("timeout", [-1, float("-inf")])
def test_a_timeout_that_is_none_is_not_a_time(timeout):
    """Nothing raises for it."""
    session = TrainingSession(f"127.0.0.1:{free_port()}")
    session.log_batch(1.0, epoch=0, batch=0)
    with within(0):
        assert session.flush(timeout)
    with within(0):
        assert session.close(timeout)


@pytest.mark.parametrize("timeout", [float("inf"), 1e300])
def test_any_time_may_be_given(timeout):
    """More than a system can count, too."""
    session = TrainingSession(RecordingBridge())
    session.log_batch(1.0, epoch=0, batch=0)

    assert session.flush(timeout) == 0
    assert session.close(timeout) == 0


def test_a_waiting_flush_costs_no_processor():
    """It waits for an event, not for the time."""
    bridge = reading_nothing()
    with serving(bridge):
        session = TrainingSession(bridge.address)
        session.log_batch(1.0, epoch=0, batch=0)
        until_true(lambda: bridge.streams, what="the stream is open")
        begun = time.thread_time()
        session.flush(0.5)
        spent = time.thread_time() - begun
        session.close(0)

    assert spent < 0.05


def test_a_flush_ends_when_another_thread_closes():
    """What it waits for will not come any more."""
    bridge = reading_nothing()
    with serving(bridge):
        session = TrainingSession(bridge.address)
        fill(session)
        flushing = threading.Thread(target=session.flush, args=(NEVER,), daemon=True)
        flushing.start()
        session.close(0.1)
        flushing.join(NEVER / 2)

    assert not flushing.is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")
def test_what_interrupts_close_reaches_the_program(frozen_address):
    """The rest is given up within a second; no thread and no session is left behind."""

    class LateError(Exception):
        pass

    def handler(number, frame):
        raise LateError

    session = TrainingSession(frozen_address)
    fill(session)
    threads = session._runtime._threads
    before = signal.signal(signal.SIGUSR1, handler)
    sending = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    sending.start()
    try:
        with within(0.2), pytest.raises(LateError):
            session.close(NEVER)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert not any(thread.is_alive() for thread in threads)
    assert session.stats.images_waiting == 0
    assert session.close(NEVER) == session.flush(NEVER) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")
def test_a_handler_may_close_what_is_being_closed(frozen_address):
    """As one for SIGTERM does; the first close goes on where the handler lets it."""
    session = TrainingSession(frozen_address)
    fill(session)
    inner = []
    before = signal.signal(signal.SIGUSR1, lambda *_: inner.append(session.close(NEVER)))
    sending = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    sending.start()
    try:
        with within(0.5):
            assert session.close(0.5)
    finally:
        sending.join()
        signal.signal(signal.SIGUSR1, before)

    assert inner == [0]


def test_a_wakeup_ends_one_wait():
    """Setting it twice ends one; clearing it ends none."""
    wakeup = Wakeup()
    wakeup.set()
    wakeup.set()
    assert wakeup.is_set()
    wakeup.wait(NEVER)
    assert not wakeup.is_set()
    wakeup.set()
    wakeup.clear()
    wakeup.clear()
    assert not wakeup.is_set()
    waiting = threading.Thread(target=wakeup.wait, args=(NEVER,))
    waiting.start()
    wakeup.set()
    waiting.join(NEVER / 2)
    assert not waiting.is_alive()
