"""Whatever a loop gives, every valid value arrives, and every image is accounted for at any moment."""

import gc
import math
import signal
import sys
import threading
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge


class Rude:
    """A value that raises something other than an Exception, like a Rust extension's panic."""

    def __float__(self):
        raise Panic

    __int__ = __index__ = __len__ = __array__ = __iter__ = __float__


class Panic(BaseException):
    """Not an Exception."""


class Given(NamedTuple):
    """A value, and whether it can be sent."""

    value: object
    is_good: bool = True


def good(*values):
    """Return values that can be sent."""
    return [Given(value) for value in values]


def bad(*values):
    """Return values that cannot be sent, as they are left out alone."""
    return [Given(value, False) for value in values]


def pictures(count, side=8):
    """Return a batch of pictures."""
    return np.full((count, side, side, 3), 100, np.uint8)


LOSSES = [
    *good(0.5, 2, math.inf, np.float32(0.25), np.array([1.5]), None),
    *bad("much", object(), np.zeros(3), Rude(), [1, 2]),
]
NUMBERS = [*good(0, 7, np.int64(3), 4.0), *bad(-1, 1 << 40, "one", None, 1.5, Rude(), math.nan)]
IMAGES = [
    *good(None, pictures(1), pictures(4), pictures(20), [pictures(1)[0]] * 3, pictures(2)[0]),
    *bad(
        object(),
        "path.png",
        np.zeros((1, 2, 3, 4, 5)),
        [b"no picture", pictures(1)[0]],
        Rude(),
        [Rude(), None, pictures(1)[0]],
        [b""] * 18,
        np.zeros((2, 8, 8, 3), "datetime64[s]"),
        7,
        np.zeros((3, 0, 8, 3), np.uint8),
        [],
    ),
]
ROWS = [
    *good(None),
    *bad("cat", object(), Rude(), np.zeros((2, 2, 2)), 3, [object()] * 4, {"a": 1}),
]

CALLS = st.lists(
    st.tuples(
        *map(st.sampled_from, (LOSSES, NUMBERS, IMAGES, ROWS, ROWS)), st.sampled_from(NUMBERS)
    ),
    min_size=1,
    max_size=12,
)


def is_whole(stats):
    """Return whether given = sent + left out + waiting, and nothing is negative."""
    left_out = sum(count for name, count in stats.left_out.items() if name.startswith("images: "))
    return (
        stats.images_given == stats.images_sent + left_out + stats.images_waiting
        and left_out == stats.images_sampled_out + stats.images_shed + stats.images_unreadable
        and min(stats.images_waiting, stats.images_sent, left_out) >= 0
    )


@contextmanager
def watched(session):
    """Check the account from another thread all the while; yield what was wrong with it."""
    wrong, is_over = [], threading.Event()

    def look():
        while not is_over.is_set():
            stats = session.stats
            if not is_whole(stats):
                wrong.append(stats)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield wrong
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize("strict", [False, True], ids=["normal", "strict"])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    calls=CALLS, rate=st.sampled_from([math.inf, 0.0, 5.0]), kibibytes=st.sampled_from([2, 1024])
)
def test_the_account_is_whole_and_good_values_arrive(strict, calls, rate, kibibytes):
    """Normally nothing raises; a strict session raises ValueError, and nothing of that call is sent."""
    bridge = RecordingBridge(image_batches_per_second=rate)
    session = TrainingSession(bridge, strict=strict, buffer_bytes=kibibytes << 10)
    raised = set()
    with watched(session) as wrong:
        for batch, call in enumerate(calls):
            loss, epoch, images, predictions, truth, count = (each.value for each in call)
            try:
                session.log_batch(
                    loss,
                    epoch=epoch,
                    batch=batch,
                    images=images,
                    predictions=predictions,
                    ground_truth=truth,
                    sample_count=count,
                )
            except ValueError:
                assert strict
                raised.add(batch)
        assert session.close() == 0
    stats = session.stats

    assert not wrong, wrong[0]
    assert is_whole(stats)
    assert stats.images_waiting == 0
    arrived = {batch.batch: batch for batch in bridge.batches}
    assert not raised & set(arrived)
    assert stats.images_sent == sum(
        bool(image) for batch in bridge.batches for image in batch.images
    )
    dropped = 0
    for batch, (loss, epoch, *_) in enumerate(calls):
        if not epoch.is_good:
            assert batch not in arrived
        elif batch in raised:
            continue
        elif batch not in arrived:
            dropped += 1
        else:
            assert arrived[batch].epoch == int(epoch.value)
            sent = loss.value if loss.is_good else None
            assert arrived[batch].loss == (None if sent is None else float(np.ravel(sent)[0]))
    assert dropped <= stats.dropped  # where the memory is small, and a machine slow


@pytest.mark.parametrize("name", ["epoch", "scalars", "status"])
@pytest.mark.parametrize("value", [Rude(), -1, 1 << 70, "x", object()], ids=repr)
def test_strict_raises_only_valueerror(name, value):
    """Whatever the value itself raises, and whichever call it is given to; normally nothing is raised."""
    for strict in (False, True):
        with TrainingSession(RecordingBridge(), strict=strict) as session:
            log = {
                "epoch": lambda session=session: session.log_epoch(value, loss=1.0),
                "scalars": lambda session=session: session.log_scalars({"x": 1.0}, epoch=value),
                "status": lambda session=session: session.log_status(value),
            }[name]
            if strict:
                with pytest.raises(ValueError):  # noqa: PT011 -- the text is the value's
                    log()
            else:
                log()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")
@pytest.mark.parametrize("strict", [False, True], ids=["normal", "strict"])
@pytest.mark.parametrize("rate", [math.inf, 5.0])
def test_what_interrupts_a_call_leaves_the_account_whole(strict, rate):
    """A signal handler that raises in the middle of a call: it reaches the loop, which may go on."""

    class LateError(Exception):
        pass

    def handler(number, frame):
        raise LateError

    bridge = RecordingBridge(image_batches_per_second=rate)
    session = TrainingSession(bridge, strict=strict)
    batch = pictures(2)
    before = signal.signal(signal.SIGVTALRM, handler)
    delays = np.random.default_rng(3).uniform(0.0002, 0.002, 60)
    gc.collect()
    gc.disable()  # what a handler raises inside a finaliser is lost, whoever's that is
    try:
        for step, delay in enumerate(delays):
            with pytest.raises(LateError):  # noqa: PT012 -- it may come in any of these lines
                signal.setitimer(signal.ITIMER_VIRTUAL, delay)
                while True:
                    session.log_batch(
                        float(step), epoch=0, batch=step, images=batch, predictions=np.eye(2)
                    )
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        gc.enable()
    assert session.close(60) == 0

    assert is_whole(session.stats)
    assert session.stats.images_waiting == 0
    assert session.stats.faults == 0


def test_what_is_logged_while_another_thread_closes_is_accounted_for():
    """It is sent, or counted as left out: never lost between the two."""
    for _ in range(5):
        session = TrainingSession(RecordingBridge())
        is_over = threading.Event()

        def log(session=session, is_over=is_over):
            while not is_over.is_set():
                session.log_batch(1.0, epoch=0, batch=0, images=pictures(2), sample_count=2)

        thread = threading.Thread(target=log)
        thread.start()
        until_true(lambda session=session: session.stats.images_sent, what="images are sent")
        session.close()
        is_over.set()
        thread.join()

        assert is_whole(session.stats)
        assert session.stats.images_waiting == 0
