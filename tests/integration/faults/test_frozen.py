"""A bridge that stands still costs a training loop no time and no memory, and nothing is lost."""

import os
import signal
import time
from contextlib import contextmanager

from support import checks
from support.bridges import running_bridge
from support.known_run import KnownRun
from support.memory import resident_bytes
from support.trainers import training
from support.waiting import until_true

from bridge.client import TrainingSession

FROZEN_SECONDS = float(os.environ.get("TRAINBRIDGE_FROZEN_SECONDS", "6"))
RATE = 100.0
CLOSE_SECONDS = 60
MEBIBYTE = 1 << 20


@contextmanager
def frozen(bridge):
    """Have the bridge stand still; its machine goes on, so no connection breaks."""
    bridge.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        bridge.process.send_signal(signal.SIGCONT)


def trained(bridge, run, *, meanwhile):
    """Train for a second, then while something is done, and return what the trainer says."""
    with training(bridge.grpc, run, rate=RATE) as trainer:
        until_true(lambda: bridge.total("training_batches_total", session_id=run.session_id) > RATE)
        meanwhile()
        return trainer.finish()


def test_training_goes_on_as_fast_and_all_of_it_arrives(tmp_path):
    """Steps take what they take beside a bridge that is well; behind the pause everything comes, once."""
    calm_run = KnownRun("calm", epoch_batches=30)
    run = KnownRun("run", epoch_batches=30)
    with running_bridge(tmp_path / "state", "--images-keep", "all") as bridge:

        def freeze():
            with frozen(bridge):
                time.sleep(FROZEN_SECONDS)

        calm = trained(bridge, calm_run, meanwhile=lambda: None)
        summary = trained(bridge, run, meanwhile=freeze)

        assert summary.batches > 0.8 * RATE * FROZEN_SECONDS
        assert summary.batches / summary.wall_seconds > 0.8 * RATE
        assert summary.call_median_seconds < 4 * calm.call_median_seconds + 0.000_1
        assert summary.call_longest_seconds < 1
        assert (summary.left, summary.stats["dropped"]) == (0, 0)
        sent = checks.Sent.whole(run, summary.batches, images=summary.stats["images_sent"])
        checks.check(bridge, sent, keeps_all=True)
        checks.check_log(bridge)


def test_what_waits_takes_no_more_memory_than_it_may(tmp_path):
    """The buffer of the SDK is all that grows; pictures are given up for it, numbers are not."""
    pictures = [bytes.fromhex("ffd8") + os.urandom(30_000) + bytes.fromhex("ffd9")] * 16
    with running_bridge(tmp_path / "state", "--images-keep", "all") as bridge:
        session = TrainingSession(
            bridge.grpc, session_id="run", buffer_bytes=16 * MEBIBYTE, close_seconds=CLOSE_SECONDS
        )
        session.log_batch(0.5, epoch=1, batch=0, images=pictures)
        assert session.flush(CLOSE_SECONDS) == 0
        with frozen(bridge):
            before = resident_bytes()
            for batch in range(1, 1_001):  # 480 MB
                session.log_batch(0.5, epoch=1, batch=batch, images=pictures)
            until_true(lambda: session.stats.batches == 1_001)
            grown = resident_bytes() - before
        left, stats = session.close(), session.stats
        counted = bridge.total("training_batches_total", session_id="run")

    assert grown < (16 + 64) * MEBIBYTE
    assert stats.images_shed > 0
    assert (left, stats.dropped, counted) == (0, 0, 1_001)
