"""What begins an attempt of a session, against a real bridge."""

import json
import sqlite3
from contextlib import closing

from support.bridges import running_bridge
from support.known_run import KnownRun
from support.raw_client import RawClient
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire

RUN = KnownRun("run", images_every=0)
PICTURED = KnownRun("run", images_every=1)


def test_a_client_without_an_instance_id_begins_an_attempt_after_its_end(tmp_path):
    """Registered again before its end it goes on; after its end its counts begin anew, also after a restart."""
    state = tmp_path / "state"
    with running_bridge(state) as bridge:
        train(bridge, batches=4, ends=False)
        train(bridge, batches=2, ends=True)
        until_true(lambda: details(bridge)["status"] == "completed")
        assert (details(bridge)["attempt"], details(bridge)["batches"]) == (1, 6)
        train(bridge, batches=3, ends=True)
        until_true(lambda: details(bridge)["batches"] == 3)
        assert details(bridge)["attempt"] == 2
        until_true(lambda: details(bridge)["status"] == "completed")
    with running_bridge(state) as bridge:
        train(bridge, batches=1, ends=False)
        assert (details(bridge)["attempt"], details(bridge)["batches"]) == (3, 1)


def test_every_attempt_is_read_after_a_restart(tmp_path):
    """What is no longer in memory has its pages, its curve and its images, each under its attempt."""
    state = tmp_path / "state"
    with running_bridge(state, "--images-keep", "all") as bridge:
        for batches in (6, 4):
            train(bridge, batches=batches, ends=True, run=PICTURED)
            until_true(lambda: details(bridge)["status"] == "completed")
        before = details(bridge)
    with running_bridge(state, "--images-keep", "all", "--session-linger-seconds", "0") as bridge:
        until_true(lambda: len(images(bridge, attempt=2)) == 4)
        run = details(bridge)
        first = details(bridge, attempt=1)

        assert [one["batches"] for one in run["attempts"]] == [6, 4]
        assert [one["state"] for one in run["attempts"]] == ["completed"] * 2
        assert run["losses"] == before["losses"]
        assert (first["batches"], first["loss"]) != (run["batches"], run["loss"])
        assert len(images(bridge, attempt=1)) == 6
        for attempt in (1, 2):
            [address] = {one["images"][0]["url"] for one in images(bridge, attempt=attempt)[:1]}
            assert bridge.get(address.partition(bridge.http)[2])[:2] == b"\xff\xd8"
            page = bridge.get(f"/sessions/run/attempts/{attempt}").decode()
            assert f"run: attempt {attempt}</h1>" in page
        assert "attempts/2" in bridge.get("/sessions/run").decode()


def test_an_attempt_after_a_lost_database_is_not_taken_for_one_whose_images_are_left(tmp_path):
    """The images of all attempts are found again; those of the new one stand above them, and none is written over."""
    state = tmp_path / "state"
    with running_bridge(state, "--images-keep", "all") as bridge:
        for _ in range(2):
            train(bridge, batches=2, ends=True, run=PICTURED)
            until_true(lambda: details(bridge)["status"] == "completed")
        assert bridge.stop() == 0
    for file in state.glob("trainbridge.db*"):
        file.unlink()
    with running_bridge(state, "--images-keep", "all") as bridge:
        until_true(lambda: indexed_batches(state) == 4)
        train(bridge, batches=1, ends=True, run=PICTURED)
        until_true(lambda: details(bridge)["status"] == "completed")

        assert details(bridge)["attempt"] == 3
        until_true(lambda: len(images(bridge, attempt=3)) == 1)
        assert [len(images(bridge, attempt=attempt)) for attempt in (1, 2)] == [2, 2]
        newest, older = images(bridge, attempt="")
        assert "attempts/3/" in newest["images"][0]["url"]
        assert "attempts/2/" in older["images"][0]["url"]


def train(bridge, *, batches, ends, run=RUN):
    """Register without an instance id, send batches, and the end of the run if it `ends`."""
    with RawClient(bridge.grpc, run, numbered=False) as client:
        assert client.register().success
        client.open()
        client.put([run.batch(number) for number in range(1, batches + 1)])
        until_true(lambda: len(client.answered) == batches)
        if ends:
            client.put([run.status(wire.COMPLETED)])
            client.finish()


def indexed_batches(state):
    """Count the batches with images that the index on disk has."""
    with closing(sqlite3.connect(state / "trainbridge.db")) as database:
        return database.execute("SELECT count(*) FROM batches").fetchone()[0]


def details(bridge, *, attempt=""):
    """Return the session as the API shows it, or one attempt of it."""
    return json.loads(bridge.get(f"/api/v1/sessions/run?attempt={attempt}"))


def images(bridge, *, attempt):
    """Return the batches of an attempt that have images."""
    return json.loads(bridge.get(f"/api/v1/sessions/run/images?attempt={attempt}"))["batches"]
