"""A state folder that somebody tampers with while its bridge runs, or before it starts."""

import json
import re
import shutil
import signal
import sqlite3
import tarfile
import time
import urllib.error
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support import checks
from support.bridges import launched, running_bridge
from support.known_run import KnownRun
from support.ports import free_port
from support.raw_client import RawClient
from support.raw_loops import NumberedLoop
from support.waiting import until_true

from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards import layout
from bridge.storage.revisions import NEWEST
from bridge.wire import metrics_pb2 as wire

FLAGS = ("--images-keep", "all")
RUN = KnownRun("run", epoch_batches=20, samples=2)
OTHER = KnownRun("other", epoch_batches=20, samples=2)
EXIT_SECONDS = 30
FORMATS = Path(__file__).parents[2] / "unit/storage/formats"
FOLDERS = Path(__file__).parent / "folders"


def readiness(bridge):
    """Return status and text of /readyz."""
    try:
        return 200, bridge.get("/readyz").decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def refused(state):
    """Return what a bridge says that does not start."""
    with launched(state, *FLAGS) as launch:
        before = launch.log.stat().st_size
        assert launch.process.wait(EXIT_SECONDS) == 1
    said = launch.log.read_bytes()[before:].decode()
    assert "Traceback" not in said
    return said


def images_of(bridge, run):
    """Return what the API lists of a run's images; the run is registered anew where nobody knows it."""
    with RawClient(bridge.grpc, run) as client:
        client.start()
    found = json.loads(bridge.get(f"/api/v1/sessions/{run.session_id}/images?limit=100"))
    return [image for batch in found["batches"] for image in batch["images"]]


@pytest.fixture
def loop_on():
    """Yield a function that starts a training loop on a bridge, which ends with the test."""
    loops = []

    def start(bridge, run=RUN):
        loop = NumberedLoop(RawClient(bridge.grpc, run), batches_per_second=50)
        loops.append(loop)
        loop.start()
        until_true(lambda: loop.client.acknowledged > 20)
        return loop

    yield start
    for loop in loops:
        loop.abandon()


@pytest.mark.parametrize("removed", ["lock", "database"])
def test_nothing_that_is_removed_lets_a_second_bridge_in(tmp_path, loop_on, removed):
    """The first one holds the folder and what is in it, and all it has acknowledged is there after a kill."""
    state = tmp_path / "state"
    port = free_port()
    with running_bridge(state, *FLAGS, "--grpc-address", f"127.0.0.1:{port}") as bridge:
        loop = loop_on(bridge)
        (state / "lock").unlink()
        if removed == "database":
            for file in state.glob("trainbridge.db*"):
                file.rename(tmp_path / file.name)
        (tmp_path / "link").symlink_to(state)
        for path in (state, tmp_path / "link"):
            assert "in use by another bridge" in refused(path)
        for file in tmp_path.glob("trainbridge.db*"):
            file.rename(state / file.name)
        bridge.stop(signal.SIGKILL)

    with running_bridge(state, *FLAGS, "--grpc-address", f"127.0.0.1:{port}") as bridge:
        loop.stop()  # it has compared resume_sequence with what was acknowledged
        checks.check_series(bridge, checks.Sent.whole(RUN, loop.batches))


def test_of_bridges_that_start_at_once_one_gets_the_folder(tmp_path):
    """However close together they are, and by whatever path they come."""
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "link").symlink_to(state)
    with launched(state, *FLAGS) as one, launched(tmp_path / "link", *FLAGS) as other:
        until_true(lambda: any(each.process.poll() is not None for each in (one, other)))
        winner, loser = (one, other) if one.process.poll() is None else (other, one)
        assert loser.process.wait(EXIT_SECONDS) == 1
        assert b"in use by another bridge" in loser.log.read_bytes()
        assert readiness(winner.ready())[0] == 200


def remove(state):
    """Delete the database, as somebody who makes room."""
    for file in state.glob("trainbridge.db*"):
        file.unlink()


def replace(state):
    """Put a backup in its place, as somebody who wants the old state back."""
    shutil.copytree(
        state, state.with_name("backup"), ignore=shutil.ignore_patterns("*.partial")
    )  # those may be renamed meanwhile
    remove(state)
    for file in state.with_name("backup").glob("trainbridge.db*"):
        shutil.copy(file, state)


@pytest.mark.parametrize("lose", [remove, replace])
def test_no_ack_comes_from_a_database_that_is_gone(tmp_path, loop_on, lose):
    """The bridge is not ready any more and says why, and acknowledges nothing of what still comes."""
    state = tmp_path / "state"
    port = free_port()
    with running_bridge(state, *FLAGS, "--grpc-address", f"127.0.0.1:{port}") as bridge:
        loop = loop_on(bridge)
        lose(state)
        until_true(lambda: readiness(bridge)[0] == 503)
        text = readiness(bridge)[1]
        assert "removed, moved or replaced" in text
        assert str(tmp_path) not in text
        acknowledged, sent = loop.client.acknowledged, loop.client.sent
        until_true(lambda: loop.client.sent > sent + 20)
        assert loop.client.acknowledged == acknowledged
        assert bridge.get("/healthz")
        loop.abandon()
        bridge.stop(signal.SIGKILL)


def put_file(folder):
    """Have a file where a folder is; tell whether it was in time."""
    folder.rename(folder.with_name(f"gone-{time.monotonic_ns()}"))
    try:
        folder.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def test_a_spool_that_is_removed_costs_what_was_in_it(tmp_path, loop_on):
    """Images go on being stored, readiness and a series say what happened, and each loss is counted."""
    state = tmp_path / "state"
    with running_bridge(state, *FLAGS) as bridge:
        loop = loop_on(bridge)
        # In one step, since the bridge makes it anew at any moment.
        (state / "spool").rename(tmp_path / "gone")
        until_true(lambda: bridge.total("bridge_spool_remade_total") == 1)
        stored = bridge.total("training_images_total", result="stored")
        until_true(lambda: bridge.total("training_images_total", result="stored") > stored + 20)
        assert readiness(bridge)[0] == 200
        until_true(lambda: put_file(state / "spool"))
        until_true(lambda: readiness(bridge)[0] == 503)
        assert "spool" in readiness(bridge)[1]
        until_true(lambda: bridge.total("bridge_spool_up") == 0)
        until_true(lambda: bridge.total("training_images_total", result="dropped") > 0)
        acknowledged = loop.client.acknowledged
        until_true(lambda: loop.client.acknowledged > acknowledged + 20)
        (state / "spool").unlink()
        until_true(lambda: readiness(bridge)[0] == 200)
        stored = bridge.total("training_images_total", result="stored")
        until_true(lambda: bridge.total("training_images_total", result="stored") > stored + 20)
        loop.stop()
        checks.check_series(bridge, checks.Sent.whole(RUN, loop.batches))
        assert bridge.total("bridge_dropped_total", what="shard", reason="missing") >= 1


def test_one_bad_shard_in_the_store_stops_nobody(tmp_path):
    """With a new database it is counted, the other shards are shown, and trainers get their Acks."""
    state = tmp_path / "state"
    with running_bridge(state, *FLAGS) as bridge:
        for run in (RUN, OTHER):
            with RawClient(bridge.grpc, run) as client:
                client.start()
                client.stream(*run.requests(1, 20), run.status(wire.COMPLETED))
        assert bridge.stop() == 0
    for file in state.glob("trainbridge.db*"):
        file.unlink()
    bad = min(state.glob("images/run/**/*.tar"))
    trailer = shard_file.trailer_of(bad)
    end = trailer.index_offset - layout.BLOCK
    first, *others = shard_file.index_of(bad, trailer).splitlines(keepends=True)
    huge = re.sub(rb'"epoch":\d+', b'"epoch":%d' % 2**70, first)
    lines = [huge, *others]
    images = bad.read_bytes()[:end]
    bad.write_bytes(images + layout.ending(lines, at=end, changed_seconds=0))

    with running_bridge(state, *FLAGS) as bridge:
        until_true(lambda: bridge.total("bridge_dropped_total", what="index_line") > 0)
        with RawClient(bridge.grpc, KnownRun("new", epoch_batches=20)) as client:
            client.start()
            client.stream(*client.run.requests(1, 20))
        assert len(images_of(bridge, OTHER)) == 20 * OTHER.samples
        assert len(images_of(bridge, RUN)) == 20 * RUN.samples - 1
        assert bridge.total("bridge_commit_failures_total") == 0
        assert readiness(bridge)[0] == 200


def test_a_wrong_byte_in_the_spool_stops_no_start(tmp_path):
    """With a new database one image of one shard is missing and counted, and the bridge is there."""
    state = tmp_path / "state"
    with running_bridge(state, *FLAGS) as bridge:
        with RawClient(bridge.grpc, RUN) as client:
            client.start()
            client.stream(*RUN.requests(1, 10))
        bridge.stop(signal.SIGKILL)
    for file in state.glob("trainbridge.db*"):
        file.unlink()
    [spooled] = state.glob("spool/*.tar")
    spooled.write_bytes(spooled.read_bytes().replace(b'"received_ms"', b'"receivedXms"', 1))

    with running_bridge(state, *FLAGS) as bridge:
        assert len(images_of(bridge, RUN)) == 10 * RUN.samples - 1
        assert bridge.total("bridge_dropped_total", what="image", reason="damaged") == 1


def test_a_newer_format_is_refused_in_one_sentence(tmp_path):
    """Whoever goes back to an older release reads what to do, and nothing is touched."""
    state = tmp_path / "state"
    with running_bridge(state, *FLAGS) as bridge:
        assert bridge.stop() == 0
    with closing(sqlite3.connect(state / "trainbridge.db")) as database, database:
        database.execute("ALTER TABLE sessions RENAME COLUMN through TO until")
        database.execute(f"PRAGMA user_version = {NEWEST + 1}")
    before = (state / "trainbridge.db").read_bytes()

    said = refused(state)

    assert "written by a newer trainbridge" in said
    assert "no such column" not in said
    assert (state / "trainbridge.db").read_bytes() == before


def test_an_upgrade_keeps_every_session(tmp_path):
    """A folder of the first format shows its sessions as before, and the log says what was brought over."""
    state = tmp_path / "state"
    state.mkdir()
    session = {
        "id": "run", "attempt": 1, "phase": "ended", "status": "completed", "status_message": "",
        "registered_at": 1.7e9, "updated_at": 1.7e9 + 60, "ended_at": 1.7e9 + 60, "committed": 7,
        "epoch": 1, "batch": 3, "batches": 13, "scalars": {}, "loss": "0.5",
        "client": {"name": "c", "version": "1", "instance_id": "i", "labels": {}, "traceparent": ""},
        "config": {"total_epochs": 3, "batches_per_epoch": 10, "batch_size": 4, "model_name": "m",
                   "dataset_name": "d", "class_names": []},
        "losses": {"size": 240, "stride": 1, "bins": []}, "epochs": [], "performance": None,
        "notices": [],
    }  # fmt: skip  # flags beside their values
    with closing(sqlite3.connect(state / "trainbridge.db")) as database, database:
        database.executescript((FORMATS / "0-traces.sql").read_text())
        row = ("run", 1_700_000_000_000, 1_700_000_060_000, 7, json.dumps(session))
        database.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", row)

    with running_bridge(state, *FLAGS, "--sessions-keep-days", "0") as bridge:
        found = json.loads(bridge.get("/api/v1/sessions/run"))
        assert found["batches"] == 13
        assert b"the database was migrated" in bridge.log.read_bytes()
        assert bridge.stop() == 0
    with running_bridge(state, *FLAGS, "--sessions-keep-days", "0") as bridge:
        assert json.loads(bridge.get("/api/v1/sessions/run"))["batches"] == 13


def test_a_folder_of_the_version_before_is_taken_over_whole(tmp_path):
    """It was killed with a run on its way: batches that were only in the journal count, and every image is shown."""
    state = tmp_path / "state"
    with tarfile.open(FOLDERS / "format-3.tar.xz") as folder:
        folder.extractall(state, filter="data")
    done = KnownRun("done", epoch_batches=5, samples=1)
    flags = (*FLAGS, "--sessions-keep-days", "0")

    for _ in range(2):
        with running_bridge(state, *flags) as bridge:
            found = {
                name: json.loads(bridge.get(f"/api/v1/sessions/{name}")) for name in ("done", "run")
            }
            assert [found[name]["batches"] for name in ("done", "run")] == [10, 30]
            assert found["done"]["status"] == "completed"
            for run, batches in ((done, 10), (RUN, 30)):
                path = f"/api/v1/sessions/{run.session_id}/images?limit=100"
                batches_with_images = json.loads(bridge.get(path))["batches"]
                images = [image for batch in batches_with_images for image in batch["images"]]
                assert len(images) == batches * run.samples
                assert all(
                    bridge.get(urlsplit(image["url"]).path)[:2] == b"\xff\xd8" for image in images
                )
            assert bridge.total("bridge_dropped_total") == 0
            assert bridge.stop() == 0
