"""Disks that are full or do not answer: the training goes on, and what memory holds is delivered."""

import time
from concurrent.futures import ThreadPoolExecutor

from support.bridges import running_bridge
from support.disks import failing_disk, small_disk
from support.ports import free_port
from support.waiting import until_true

from bridge.client import TrainingSession

CLOSE_SECONDS = 60.0
MEBIBYTE = 1 << 20


def log(session, batches):
    """Tell of batches."""
    for batch in batches:
        session.log_batch(0.5, epoch=0, batch=batch)


def test_a_full_disk_leaves_memory(tmp_path, caplog):
    """It is noted once and counted; everything is delivered, since memory had room for it."""
    address = f"127.0.0.1:{free_port()}"
    with small_disk(tmp_path / "disk", size_bytes=MEBIBYTE) as disk:
        session = TrainingSession(
            address, session_id="run", spool_dir=disk.folder, close_seconds=CLOSE_SECONDS
        )
        log(session, range(30_000))
        until_true(lambda: session.stats.spool_faults, what="the disk is full")
        with running_bridge(tmp_path / "state", "--grpc-address", address) as bridge:
            assert session.close() == 0
            assert bridge.total("training_batches_total", session_id="run") == 30_000

        assert list(disk.folder.iterdir()) == []
    assert caplog.text.count("No space left") == 1
    assert session.stats.dropped == 0


def test_a_disk_that_does_not_answer_delays_nothing(tmp_path):
    """While every write hangs, the loop runs, the bridge gets everything, and closing ends."""
    with (
        failing_disk(tmp_path / "disk", size_bytes=32 * MEBIBYTE) as disk,
        running_bridge(tmp_path / "state") as bridge,
        ThreadPoolExecutor(1) as loop,
    ):
        session = TrainingSession(
            bridge.grpc, session_id="run", spool_dir=disk.folder, close_seconds=5.0
        )
        log(session, range(1_000))
        assert session.flush(CLOSE_SECONDS) == 0
        with disk.hanging():
            began = time.monotonic()
            loop.submit(log, session, range(1_000, 5_000)).result(60)
            assert session.flush(CLOSE_SECONDS) == 0
            assert session.close() == 0
            assert time.monotonic() - began < 20
            assert bridge.total("training_batches_total", session_id="run") == 5_000
        until_true(
            lambda: not list(disk.folder.glob("run-*")), what="the folder is removed after all"
        )
