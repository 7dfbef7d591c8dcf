"""A disk that is full, read-only or failing never makes an Ack false, and never ends the bridge."""

import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from support import checks
from support.bridges import running_bridge
from support.disks import failing_disk, small_disk
from support.known_run import KnownRun
from support.ports import free_port
from support.raw_client import RawClient
from support.raw_loops import NumberedLoop
from support.trainers import training
from support.waiting import until_true

from bridge.errors import StorageError
from bridge.storage.sqlite.database import SqliteDatabase

MEBIBYTE = 1 << 20
NOTICE_SECONDS = 30
RECOVERY_SECONDS = 60

RUN = KnownRun("run", epoch_batches=50, samples=2, images_every=3)


class Full:
    """No space is left."""

    sheds = True
    disk = staticmethod(small_disk)

    def begin(self, disk, process):
        disk.fill()

    def end(self, disk, process):
        disk.free()


class Failing:
    """Writes fail: those behind the first 8 KiB of any file (EFBIG)."""

    sheds = False
    disk = staticmethod(small_disk)

    def begin(self, disk, process):
        _, self._most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8 << 10, self._most))

    def end(self, disk, process):
        if process.poll() is None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (self._most, self._most))


class ReadOnly:
    """The kernel has found the disk broken, and lets nobody write any more."""

    disk = staticmethod(failing_disk)

    def begin(self, disk, process):
        disk.fail()

    def end(self, disk, process):
        disk.mend()


@pytest.fixture
def port():
    """Return a port that is free at the moment."""
    return free_port()


@contextmanager
def bridge_on(disk, port):
    """Run a bridge that keeps everything on a disk."""
    flags = ("--grpc-address", f"127.0.0.1:{port}", "--images-keep", "all")
    with running_bridge(disk.folder, *flags) as bridge:
        yield bridge


def started(bridge):
    """Start a training loop, and wait until things are going well."""
    loop = NumberedLoop(RawClient(bridge.grpc, RUN), batches_per_second=100)
    loop.start()
    until_true(lambda: loop.client.acknowledged > 100)
    return loop


def commits_fail(bridge):
    """Return whether the bridge has noticed; it is alive all the time, and serves its pages."""
    assert bridge.process.poll() is None, bridge.log.read_text()
    bridge.metrics()
    return b"a commit failed" in bridge.log.read_bytes()


@pytest.mark.parametrize("fault", [Full(), Failing(), ReadOnly()], ids=lambda f: type(f).__name__)
def test_no_ack_is_false(fault, tmp_path, port):
    """Killed while it cannot write, a bridge has everything it has ever acknowledged."""
    with fault.disk(tmp_path / "disk", size_bytes=64 * MEBIBYTE) as disk:
        with bridge_on(disk, port) as bridge:
            loop = started(bridge)
            fault.begin(disk, bridge.process)
            until_true(lambda: commits_fail(bridge), seconds=NOTICE_SECONDS)
            sent = loop.client.sent
            until_true(lambda: loop.client.sent > sent + 50)
            assert loop.client.acknowledged < sent
            bridge.stop(signal.SIGKILL)
        fault.end(disk, bridge.process)

        with bridge_on(disk, port) as bridge:
            loop.stop()  # it has compared resume_sequence with what was acknowledged
            checks.check_series(bridge, checks.Sent.whole(RUN, loop.batches))
            checks.check_session(bridge, checks.Sent.whole(RUN, loop.batches))
            checks.check_log(bridge)


@pytest.mark.parametrize("fault", [Full(), Failing()], ids=lambda f: type(f).__name__)
def test_a_disk_that_is_well_again_is_used_within_seconds(fault, tmp_path, port):
    """Nothing is lost but images, which are counted; Acks and images go on without a restart."""
    with (
        fault.disk(tmp_path / "disk", size_bytes=64 * MEBIBYTE) as disk,
        bridge_on(disk, port) as bridge,
    ):
        loop = started(bridge)
        fault.begin(disk, bridge.process)
        until_true(lambda: commits_fail(bridge), seconds=NOTICE_SECONDS)
        if fault.sheds:
            until_true(lambda: bridge.total("training_images_total", result="dropped") > 0)
        stored = bridge.total("training_images_total", result="stored")
        fault.end(disk, bridge.process)
        sent = loop.client.sent

        until_true(lambda: loop.client.acknowledged > sent, seconds=RECOVERY_SECONDS)
        until_true(
            lambda: bridge.total("training_images_total", result="stored") > stored,
            seconds=RECOVERY_SECONDS,
        )
        loop.stop()
        checks.check(bridge, checks.Sent.whole(RUN, loop.batches))
        checks.check_log(bridge)


def test_a_disk_that_hangs_holds_up_nothing_but_acks(tmp_path, port):
    """Series are served and messages are taken in meanwhile; then everything is acknowledged."""
    with (
        failing_disk(tmp_path / "disk", size_bytes=64 * MEBIBYTE) as disk,
        bridge_on(disk, port) as bridge,
    ):
        loop = started(bridge)
        with disk.hanging():
            sent = loop.client.sent
            until_true(lambda: bridge.total("training_batches_total") > sent + 100)
            assert loop.client.acknowledged <= sent + 1
        loop.stop()
        checks.check(bridge, checks.Sent.whole(RUN, loop.batches), keeps_all=True)
        checks.check_log(bridge)


def test_too_much_waiting_for_the_disk_is_refused(tmp_path, port):
    """Above 100,000 updates the SDK must wait; in the end nothing is missing and nothing double."""
    run = KnownRun("run", epoch_batches=1_000, samples=1, images_every=0)
    with (
        small_disk(tmp_path / "disk", size_bytes=64 * MEBIBYTE) as disk,
        bridge_on(disk, port) as bridge,
    ):
        disk.fill()
        with training(bridge.grpc, run, rate=1e6, batches=120_000) as trainer:
            until_true(
                lambda: bridge.total("bridge_errors_total", code="BUFFER_FULL") > 0,
                seconds=60,
                what="the bridge has no more room",
            )
            disk.free()
            summary = trainer.finish()

        assert summary.batches > 100_000
        assert (summary.left, summary.stats["dropped"], summary.stats["refused"]) == (0, 0, 0)
        checks.check_series(bridge, checks.Sent.whole(run, summary.batches))


def test_a_folder_that_cannot_be_written_to_is_named_at_the_start(tmp_path):
    """An operator reads which folder it is, and no traceback."""
    with small_disk(tmp_path / "disk", size_bytes=MEBIBYTE) as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk.folder], check=True)
        command = [sys.executable, "-m", "bridge", "serve", "--state", str(disk.folder / "state"),
                   "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"]  # fmt: skip  # flags beside their values
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode != 0
    assert str(disk.folder) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_bridge_that_starts_on_a_full_disk_takes_images_once_there_is_room(tmp_path, port):
    """Killed while the disk is full, and started while it still is: images are taken within seconds of room.

    Series are served at once, and what was spooled before reaches the store.
    """
    with small_disk(tmp_path / "disk", size_bytes=40 * MEBIBYTE) as disk:
        in_the_way = disk.folder / "images"
        in_the_way.touch()  # a file where the store should be: shards stay in the spool
        with bridge_on(disk, port) as bridge:
            loop = started(bridge)
            until_true(lambda: bridge.total("training_images_total", result="stored") > 50)
            disk.fill()
            until_true(lambda: commits_fail(bridge), seconds=NOTICE_SECONDS)
            bridge.stop(signal.SIGKILL)
        disk.fill()
        left = list(disk.folder.glob("spool/*.tar"))
        assert left

        in_the_way.unlink()
        with bridge_on(disk, port) as bridge:
            batches = bridge.total("training_batches_total")
            until_true(lambda: bridge.total("training_batches_total") > batches + 50)
            stored = bridge.total("training_images_total", result="stored")
            disk.free()
            until_true(
                lambda: bridge.total("training_images_total", result="stored") > stored,
                seconds=RECOVERY_SECONDS,
            )
            until_true(
                lambda: not any(shard.exists() for shard in left),
                seconds=RECOVERY_SECONDS,
                what="the store has what was spooled",
            )
            loop.stop()
            checks.check_series(bridge, checks.Sent.whole(RUN, loop.batches))
            checks.check_log(bridge)
            assert bridge.total("bridge_dropped_total", reason="damaged") == 0


def test_a_write_ahead_log_never_keeps_a_small_disk_full(tmp_path):
    """What the log takes without need is given back: a disk that is full otherwise goes on taking commits."""
    with small_disk(tmp_path / "disk", size_bytes=6 * MEBIBYTE) as disk:
        database = SqliteDatabase(disk.folder / "bridge.db")
        row = "INSERT OR REPLACE INTO windows (session_id, offer) VALUES (?, ?)"
        for number in range(52):
            with database.transaction() as transaction:
                transaction.execute(row, (f"{number % 12}", bytes([number]) * 70_000))
        disk.fill()
        failures = committed = 0
        for number in range(60):
            try:
                with database.transaction() as transaction:
                    transaction.execute(row, (f"{number % 12}", bytes([number]) * 70_000))
            except StorageError:
                failures += 1
            else:
                committed += 1
        database.close()

    assert committed > 50, failures
