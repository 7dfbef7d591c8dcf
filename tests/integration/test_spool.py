"""The spool against real processes: what a killed trainer said arrives, once."""

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from support.bridges import running_bridge
from support.jpegs import jpeg
from support.proxy import proxying
from support.spools import leave, outgoing_message
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.spool.folder import folders_in
from bridge.client.spool.segment import segments_in

CLOSE_SECONDS = 60.0

TRAINER = """
import sys, time
from bridge.client import TrainingSession

address, folder, batches, image = sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4])
session = TrainingSession(address, session_id="run", spool_dir=folder)
for batch in range(batches):
    session.log_batch(0.5, epoch=batch // 1000, batch=batch % 1000, images=[image] * 4, ground_truth=range(4))
    if batch % 1000 == 999:
        session.log_epoch(batch // 1000, loss=0.25)
    if batch % 50 == 0:
        time.sleep(0.001)
print("said", flush=True)
time.sleep(600)
"""

ENDLESS = """
import itertools, sys, time
from bridge.client import TrainingSession

session = TrainingSession(sys.argv[1], session_id="run", spool_dir=sys.argv[2], buffer_bytes=1 << 20)
for batch in itertools.count():
    session.log_batch(0.5, epoch=0, batch=batch)
    time.sleep(0.0005)
    if batch == 100:
        print("said", flush=True)
"""


@pytest.fixture
def address():
    """Return an address where nobody listens at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def training(address, folder, batches):
    """Run a trainer with the block; it has said so many batches and goes on living, or, of 0, talks on."""
    program, *last = (TRAINER, str(batches), jpeg().hex()) if batches else (ENDLESS,)
    command = [sys.executable, "-c", program, address, str(folder), *last]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "said\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def syncing(folder, address, *flags):
    """Start `trainbridge sync`."""
    command = [sys.executable, "-m", "bridge", "sync", str(folder), "--address", address, *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sync(folder, address, *flags):
    """Run `trainbridge sync`; return its exit status and what it says."""
    process = syncing(folder, address, *flags)
    output, _ = process.communicate(timeout=CLOSE_SECONDS)
    return process.returncode, output


def found_in(folder):
    """Return every message in the spool of the only session."""
    (path,) = folders_in(folder)
    records = [record for segment in segments_in(path) for record, _ in segment.read()]
    return [record for record in records if isinstance(record, OutgoingMessage)]


def batches_in(folder):
    """Count the batches in the spool of the only session."""
    return sum(message.priority is Priority.BATCH for message in found_in(folder))


def test_what_a_killed_trainer_said_arrives_once(tmp_path, address):
    """No bridge ever saw it alive: batches, epochs and images come from the disk, and its end is reported."""
    folder = tmp_path / "spool"
    with training(address, folder, 5_000) as trainer:
        until_true(lambda: batches_in(folder) == 5_000, seconds=30, what="all of it is written")
        assert sync(folder, address)[1].startswith("run-")
        assert batches_in(folder) == 5_000, "a living trainer's spool is left alone"
        trainer.send_signal(signal.SIGKILL)
        trainer.wait(60)
    left = found_in(folder)

    with running_bridge(
        tmp_path / "state", "--grpc-address", address, "--images-keep", "all"
    ) as bridge:
        status, output = sync(folder, address)
        assert (status, output.count("\n")) == (0, 1)
        assert f"{len(left) + 1} messages delivered" in output
        assert list(folder.iterdir()) == []
        assert sync(folder, address) == (0, f"{folder}: nothing is left to deliver\n")

        images = sum(message.images for message in left)
        assert images > 0
        assert bridge.total("training_batches_total", session_id="run") == 5_000
        assert bridge.total("training_epochs_completed_total", session_id="run") == 5
        assert bridge.total("training_images_total", session_id="run") == images
        assert bridge.total("training_session_status", session_id="run", status="failed") == 1
        assert b"the training process ended without saying so" in bridge.get("/sessions/run")


@pytest.mark.parametrize("outage", [False, True], ids=["while delivering", "during an outage"])
def test_a_trainer_killed_at_any_moment_leaves_no_gap_and_no_double(tmp_path, address, outage):
    """What the bridge got from the trainer and what it got from the spool fit together exactly."""
    folder = tmp_path / "spool"
    flags = ("--grpc-address", address)
    with running_bridge(tmp_path / "state", *flags) as first:
        with training(address, folder, 0) as trainer:
            until_true(
                lambda: first.total("training_batches_total", session_id="run") > 500,
                what="the run is under way",
            )
            if outage:
                first.stop(signal.SIGKILL)
                before = batches_in(folder)
                until_true(
                    lambda: batches_in(folder) > before + 1_000, what="the spool takes what is said"
                )
            trainer.kill()
            trainer.wait(60)
        written = found_in(folder)[-1]

        if outage:
            with running_bridge(tmp_path / "state", *flags) as second:
                check_whole(second, folder, written)
        else:
            check_whole(first, folder, written)


def check_whole(bridge, folder, written):
    """Deliver the spool; every batch up to the last one in it is counted once."""
    assert sync(folder, bridge.grpc)[0] == 0
    session = json.loads(bridge.get("/api/v1/sessions/run"))
    assert session["status"] == "failed"
    assert session["batches"] == session["batch"] + 1 >= written.batch + 1
    assert bridge.total("training_batches_total", session_id="run") == session["batches"]


def test_an_outage_longer_than_memory_costs_nothing(tmp_path, address):
    """The trainer outlives it: every batch is counted though its memory holds a tenth of them."""
    session = TrainingSession(
        address,
        session_id="run",
        spool_dir=tmp_path / "spool",
        buffer_bytes=1 << 20,
        close_seconds=CLOSE_SECONDS,
    )
    for batch in range(30_000):
        session.log_batch(0.5, epoch=0, batch=batch)
        if batch % 500 == 0:
            until_true(
                lambda: len(session._runtime.queue) < 500,
                what="the loop has no more to say than it has",
            )
    session.log_epoch(0, loss=0.25)
    until_true(lambda: batches_in(tmp_path / "spool") == 30_000, what="all of it is written")

    with running_bridge(tmp_path / "state", "--grpc-address", address) as bridge:
        assert session.close() == 0
        assert bridge.total("training_batches_total", session_id="run") == 30_000
        assert bridge.total("training_session_status", session_id="run", status="completed") == 1

    stats = session.stats
    assert (stats.batches_acknowledged, stats.dropped, stats.kept) == (30_000, 0, 0)
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed"])
def test_an_interrupted_sync_is_taken_up_again(tmp_path, number):
    """Three runs, two of them cut short: each batch is counted once."""
    batches = 100_000
    folder = tmp_path / "spool"
    leave(
        folder,
        [
            *map(outgoing_message, range(1, batches + 1)),
            outgoing_message(batches + 1, Priority.FINAL),
        ],
    )
    with running_bridge(tmp_path / "state") as bridge, proxying(bridge.grpc) as proxy:
        proxy.slow(500_000)  # or it would be over before it is interrupted
        for _ in range(2):
            connections = proxy.connections
            process = syncing(folder, proxy.address)
            until_true(
                lambda connections=connections: proxy.connections > connections,
                seconds=30,
                what="it has connected",
            )
            arrived = bridge.total("training_batches_total", session_id="run")
            until_true(
                lambda arrived=arrived: (
                    bridge.total("training_batches_total", session_id="run")
                    > arrived + 0.05 * batches
                ),
                seconds=60,
                what="a part of it has arrived",
            )
            process.send_signal(number)
            _, complaints = process.communicate(timeout=60)
            status = 130 if number == signal.SIGINT else -number
            assert (process.returncode, complaints) == (status, "")
            assert bridge.total("training_batches_total", session_id="run") < batches

        assert sync(folder, bridge.grpc)[0] == 0
        assert bridge.total("training_batches_total", session_id="run") == batches
        assert bridge.total("training_session_status", session_id="run", status="completed") == 1

    assert list(folder.iterdir()) == []


def finish(address, batches, session_id="run"):
    """Train to the end under a name."""
    with TrainingSession(address, session_id=session_id, close_seconds=CLOSE_SECONDS) as session:
        for batch in range(batches):
            session.log_batch(0.5, epoch=0, batch=batch)


def shown(bridge, session_id="run"):
    """Return what the bridge says of a session that must not change."""
    page = json.loads(bridge.get(f"/api/v1/sessions/{session_id}"))
    names = ("attempt", "status", "batches", "batch", "ended_at")
    series = {
        name: bridge.total(name, session_id=session_id)
        for name in ("training_batches_total", "training_batch_loss_count")
    }
    status = bridge.total("training_session_status", session_id=session_id, status="completed")
    return {name: page.get(name) for name in names}, series, status


@pytest.mark.parametrize("was_seen", [True, False], ids=["seen alive", "never seen"])
def test_what_an_earlier_attempt_has_left_does_not_touch_a_finished_one(
    tmp_path, address, was_seen
):
    """The newer attempt stays as it is, the rest stays in its folder, and has a way out of it."""
    folder = tmp_path / "spool"
    flags = ("--grpc-address", address)
    with running_bridge(tmp_path / "state", *flags) as first, training(address, folder, 400) as old:
        until_true(lambda: batches_in(folder) == 400, seconds=30, what="all of it is written")
        if was_seen:
            until_true(
                lambda: first.total("training_batches_total", session_id="run") == 400,
                what="the bridge has it",
            )
        old.kill()
        old.wait(60)
    state = tmp_path / ("state" if was_seen else "new")
    (path,) = folders_in(folder)
    with running_bridge(state, *flags, "--heartbeat-seconds", "0.2") as bridge:
        until_true(lambda: finish_if_let_in(address, bridge), seconds=30, what="it is let in")
        before = shown(bridge)
        assert before[0]["batches"] == 1_000

        status, text = sync(folder, address)
        assert status == 1
        assert "a newer attempt of this session has taken its place" in text
        assert f"trainbridge sync {path} --as" in text
        assert shown(bridge) == before
        assert batches_in(folder) == 400

        status, text = sync(folder, address, "--as")
        name = f"run-recovered-{path.name[-8:]}"
        assert (status, list(folder.iterdir())) == (0, [])
        assert f"messages delivered as {name}" in text
        assert bridge.total("training_batches_total", session_id=name) == 400
        assert bridge.total("training_session_status", session_id=name, status="failed") == 1
        assert shown(bridge) == before


def finish_if_let_in(address, bridge):
    """Train again under the same name, once the one before has been silent for long enough."""
    finish(address, 1_000)
    return bridge.total("training_session_status", session_id="run", status="completed") == 1


def test_a_process_that_was_frozen_does_not_replace_the_one_that_finished(tmp_path):
    """It comes back when its place is taken: what it says stays in its spool."""
    folder = tmp_path / "spool"
    with (
        running_bridge(tmp_path / "state", "--heartbeat-seconds", "0.5") as bridge,
        training(bridge.grpc, folder, 0) as frozen,
    ):
        until_true(
            lambda: bridge.total("training_batches_total", session_id="run") > 100,
            what="the first one is seen",
        )
        frozen.send_signal(signal.SIGSTOP)
        until_true(
            lambda: bridge.total("training_session_connected", session_id="run") == 0,
            what="its lease is over",
        )
        finish(bridge.grpc, 100)
        before = shown(bridge)
        assert before[0]["batches"] == 100

        count = batches_in(folder)
        frozen.send_signal(signal.SIGCONT)
        until_true(lambda: batches_in(folder) > count + 2_000, what="it goes on")
        assert shown(bridge) == before
        frozen.kill()
        frozen.wait(60)

        assert sync(folder, bridge.grpc)[0] == 1
        assert shown(bridge) == before
        assert sync(folder, bridge.grpc, "--as", "rest")[0] == 0
        assert bridge.total("training_batches_total", session_id="rest") > 2_000


@pytest.mark.parametrize("share", [0.0, 0.17])
def test_one_damaged_byte_costs_at_most_one_batch(tmp_path, share):
    """What is said to be delivered is counted, and the folder is kept where something is lost."""
    batches = 3_000
    folder = tmp_path / "spool"
    path = leave(
        folder,
        [*map(outgoing_message, range(1, batches)), outgoing_message(batches, Priority.FINAL)],
    )
    (file,) = path.glob("*.spool")
    content = bytearray(file.read_bytes())
    content[int(share * len(content))] ^= 0x80
    file.write_bytes(content)
    lost = int(share > 0)

    with running_bridge(tmp_path / "state") as bridge:
        status, text = sync(folder, bridge.grpc)

        assert (status, f"{batches - lost} messages delivered" in text) == (lost, True), text
        counted = bridge.total("training_batches_total", session_id="run")
        assert counted == batches - 1 - lost
        assert [kept.name for kept in folder.iterdir()] == [f"{path.name}.damaged"] * lost


def test_another_process_under_the_same_name_is_not_disturbed(tmp_path):
    """The bridge refuses what was left while somebody else speaks for the session; nothing is lost."""
    folder = tmp_path / "spool"
    path = leave(
        folder, [*map(outgoing_message, range(1, 100)), outgoing_message(100, Priority.FINAL)]
    )
    with running_bridge(tmp_path / "state") as bridge:
        with TrainingSession(bridge.grpc, session_id="run") as session:
            session.log_batch(0.5, epoch=0, batch=0)
            assert session.flush(60) == 0
            assert sync(folder, bridge.grpc)[0] == 1
            assert bridge.total("training_batches_total", session_id="run") == 1
        assert session.stats.unacknowledged == 0

        assert sync(folder, bridge.grpc)[0] == 1
        assert path.exists()
        assert sync(folder, bridge.grpc, "--as", "rest")[0] == 0
        assert bridge.total("training_batches_total", session_id="rest") == 99


def test_attempts_that_a_bridge_never_saw_follow_each_other(tmp_path):
    """Each is an attempt of the session; the last one that began is what is shown."""
    folder = tmp_path / "spool"
    for instance, started_ms, batches in (("1" * 32, 2_000, 30), ("2" * 32, 1_000, 20)):
        said = [
            *map(outgoing_message, range(1, batches + 1)),
            outgoing_message(batches + 1, Priority.FINAL),
        ]
        leave(folder, said, instance_id=instance, started_ms=started_ms)
    with running_bridge(tmp_path / "state") as bridge:
        status, text = sync(folder, bridge.grpc)

        assert (status, text.count("delivered")) == (0, 2)
        page = json.loads(bridge.get("/api/v1/sessions/run"))
        assert (page["attempt"], page["batches"]) == (2, 30)
