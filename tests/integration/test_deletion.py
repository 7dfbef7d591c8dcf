"""A session is deleted with everything that a real bridge has of it."""

import signal

import pytest
from support.bridges import running_bridge
from support.known_run import KnownRun
from support.raw_client import RawClient
from support.waiting import until_true

from bridge import cli
from bridge.client.query import ProblemError
from bridge.wire import metrics_pb2 as wire


def train(bridge, name):
    """Send a run with images, and its end."""
    run = KnownRun(name, images_every=1)
    with RawClient(bridge.grpc, run, numbered=False) as client:
        assert client.register().success
        client.open()
        client.put([run.batch(number) for number in range(1, 4)])
        client.put([run.status(wire.COMPLETED)])
        client.finish()
    until_true(lambda: bridge.client.session(name).status == "completed")


def shards(state, name):
    """Return the shards of a session in the folder."""
    return list((state / "images" / name).rglob("*.tar"))


def test_a_deleted_session_does_not_come_back(tmp_path, monkeypatch):
    """Not on pages, not in series, not in the store, and not after a kill; the others are untouched."""
    state = tmp_path / "state"
    with running_bridge(state, "--images-keep", "all") as bridge:
        for name in ("gone", "stays"):
            train(bridge, name)
        until_true(lambda: shards(state, "gone") and shards(state, "stays"))
        monkeypatch.setenv("TRAINBRIDGE_URL", bridge.client.url)
        assert cli.main(["sessions", "delete", "gone", "--images", "--yes"]) == 0

        with pytest.raises(ProblemError) as caught:
            bridge.client.session("gone")
        assert caught.value.status == 404
        assert bridge.total("training_batches_total", session_id="gone") == 0
        bridge.stop(signal.SIGKILL)
    with running_bridge(state) as bridge:
        until_true(lambda: bridge.total("bridge_deletions_pending") == 0)
        until_true(lambda: not (state / "images" / "gone").exists())

        assert [session.session_id for session in bridge.client.sessions()] == ["stays"]
        assert shards(state, "stays")
        assert len(list(bridge.client.batches("stays"))) == 3
