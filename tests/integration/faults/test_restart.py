"""A bridge that is stopped and started again: everything goes on where it was."""

import json
import random
import signal
import socket
import time
from contextlib import ExitStack

import pytest
from support.attempt_books import check_reports
from support.bridges import running_bridge
from support.checks import Sent, check, check_log
from support.known_run import KnownRun
from support.ports import free_port
from support.raw_client import RawClient
from support.raw_loops import NumberedLoop, OriginalLoop
from support.trainers import training
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire

RESTARTS = 6
LIFE_SECONDS = 1.2
RATE = 50.0
GRACE_SECONDS = 10
ROWS = 100_000

SIGNALS = pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"]
)
MOMENT_SECONDS = 0.002
CHANGING = ("connected", "last_update_timestamp", "interval")
"""Series that tell of now rather than of what has been counted."""


@pytest.mark.timeout(180)
def test_rolling_restarts_cost_nothing(tmp_path):
    """Under load each stop ends with 0 within its grace, after Draining; nothing is lost or counted twice."""
    state, port, chance = tmp_path / "state", free_port(), random.Random(3)
    address = f"127.0.0.1:{port}"
    flags = ("--grpc-address", address, "--images-keep", "all",
             "--shutdown-grace-seconds", str(GRACE_SECONDS))  # fmt: skip  # flags beside their values
    numbered = NumberedLoop(
        RawClient(address, KnownRun("numbered", images_every=4, reports_every=5)),
        batches_per_second=RATE,
    )
    original = OriginalLoop(
        RawClient(address, KnownRun("original", images_every=0), numbered=False),
        batches_per_second=RATE,
    )
    with ExitStack() as stack:
        run = KnownRun("sdk", images_every=4)
        for loop in (numbered, original):
            loop.start()
        for restart in range(RESTARTS):
            with running_bridge(state, *flags) as bridge:
                if not restart:
                    # Until it has met a bridge, the SDK does not know that all images are wanted.
                    trainer = stack.enter_context(training(address, run, rate=RATE))
                    until_true(lambda: bridge.total("training_batches_total", session_id="sdk"))
                until_true(lambda: not numbered.client.ended.is_set(), what="the loop is back")
                time.sleep(chance.uniform(0, LIFE_SECONDS))  # chance, as in test_kill.py
                stopped = time.monotonic()
                assert bridge.stop() == 0
                assert time.monotonic() - stopped < GRACE_SECONDS
            assert numbered.client.drainings == restart + 1
        bridge = stack.enter_context(running_bridge(state, *flags))
        for loop in (numbered, original):
            loop.stop()
        summary = trainer.finish()
        assert (summary.left, summary.batches) == (0, summary.stats["batches_acknowledged"])
        check(bridge, Sent.whole(run, summary.batches), keeps_all=True)
        check(bridge, Sent.whole(numbered.run_of, numbered.batches), keeps_all=True)
        check_reports(bridge, Sent.whole(numbered.run_of, numbered.batches))
        counted = bridge.total("training_batches_total", session_id="original")
        assert len(original.client.answered) <= counted <= original.batches
        check_log(bridge)


def test_a_second_signal_is_fast(tmp_path):
    """A stop that waits for something dead ends at once at a second signal, and costs nothing acknowledged."""
    state, run = tmp_path / "state", KnownRun("hurried")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        slow = ("--otlp-endpoint", endpoint, "--shutdown-grace-seconds", "300",
                "--images-keep", "all")  # fmt: skip  # flags beside their values
        with running_bridge(state, *slow) as bridge, RawClient(bridge.grpc, run) as client:
            client.start()
            client.stream(*run.requests(1, 50))
            bridge.process.send_signal(signal.SIGTERM)
            until_true(client.drained.is_set)
            time.sleep(1.0)  # what follows sooner counts as an echo of the first signal
            assert bridge.process.poll() is None, "it was to wait for the endpoint"
            signalled_at = time.monotonic()
            assert bridge.stop() != 0
            assert time.monotonic() - signalled_at < 100, "a grace is longer"
    with running_bridge(state, "--images-keep", "all") as bridge:
        # It was sent elsewhere, so its series are back once it has come back.
        assert series_of(bridge, run.session_id) == {}
        client.address = bridge.grpc
        with client:
            client.start()
            check(bridge, Sent.whole(run, 50), keeps_all=True)
            check_log(bridge)


@SIGNALS
def test_a_running_session_goes_on(tmp_path, number):
    """Counters, histograms, confusion, curve, page and images are after a restart what they were, and go on."""
    state, flags = tmp_path / "state", ("--images-keep", "all")
    run = KnownRun("running", epoch_batches=40, images_every=3)
    with running_bridge(state, *flags) as bridge, RawClient(bridge.grpc, run) as client:
        client.start()
        client.stream(run.status(wire.RUNNING), *run.requests(1, 130))
        check(bridge, Sent.whole(run, 130), keeps_all=True)
        before = series_of(bridge, "running"), page_of(bridge, "running")
        client.cut()
        bridge.stop(number)
    with running_bridge(state, *flags) as bridge:
        after = series_of(bridge, "running"), page_of(bridge, "running")
        assert [changed(*pair) for pair in zip(before, after, strict=True)] == [{}, {}]
        check(bridge, Sent.whole(run, 130), keeps_all=True)
        client.address = bridge.grpc
        assert client.start().resume_sequence == client.acknowledged
        client.stream(*run.requests(131, 200))
        check(bridge, Sent.whole(run, 200), keeps_all=True)
        check_log(bridge)
        client.cut()


@SIGNALS
def test_an_ended_session_lingers_through_a_restart(tmp_path, number):
    """What ended shortly before a restart can still be scraped after it, and is still over."""
    state, run = tmp_path / "state", KnownRun("ended", images_every=0)
    with running_bridge(state) as bridge, RawClient(bridge.grpc, run) as client:
        client.start()
        client.stream(*run.requests(1, 20), run.status(wire.COMPLETED))
        before = series_of(bridge, "ended")
        bridge.stop(number)
    with running_bridge(state) as bridge:
        assert changed(before, series_of(bridge, "ended")) == {}
        check(bridge, Sent.whole(run, 20))
        over = bridge.total("training_session_status", session_id="ended", status="completed")
        assert over == 1
        ended = bridge.client.session("ended")
        assert (ended.stage, ended.connected) == ("ended", False)


@SIGNALS
def test_a_session_forgotten_before_a_restart_stays_away(tmp_path, number):
    """A restart brings no series back whose time was over."""
    state, run = tmp_path / "state", KnownRun("forgotten", images_every=0)
    flags = ("--session-linger-seconds", "0.5")
    with running_bridge(state, *flags) as bridge, RawClient(bridge.grpc, run) as client:
        client.start()
        client.stream(*run.requests(1, 5), run.status(wire.COMPLETED))
        until_true(lambda: not bridge.total("training_batches_total"))
        with RawClient(bridge.grpc, KnownRun("later", images_every=0)) as later:
            later.start()
            later.stream(
                later.run.batch(1)
            )  # acknowledged: what happened before is on the disk, too
        bridge.stop(number)
    with running_bridge(state, *flags) as bridge:
        assert not bridge.total("training_batches_total", session_id="forgotten")
        assert bridge.client.session("forgotten").batches == 5


@pytest.mark.timeout(240)
def test_a_kill_after_a_burst_is_replayed_whole(tmp_path):
    """A hundred thousand messages that came too fast for any checkpoint are all there after a kill."""
    state, run = tmp_path / "state", KnownRun("burst", epoch_batches=7_000, images_every=0)
    with (
        running_bridge(state) as bridge,
        RawClient(bridge.grpc, run, frames=True) as client,
    ):
        client.start()
        client.say(*run.requests(1, ROWS))
        client.send_new()
        client.settle(seconds=90)
        bridge.stop(signal.SIGKILL)
    with running_bridge(state) as bridge:
        assert bridge.get("/readyz")
        check(bridge, Sent.whole(run, ROWS))
        check_log(bridge)


def changed(before, after):
    """Return what was and what is, by name, of all that is not the same."""
    names = before.keys() | after.keys()
    pairs = {name: (before.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if not is_same(name, *pair)}


def is_same(name, before, after):
    """Moments may be a little less exact after a restart, nothing else."""
    if "timestamp" in name[0] and None not in (before, after):
        return abs(before - after) < MOMENT_SECONDS
    return before == after


def series_of(bridge, session_id):
    """Return what has been counted of a session, by name and labels."""
    return {
        (name, labels): value
        for name, samples in bridge.metrics().items()
        for labels, value in samples.items()
        if ("session_id", session_id) in labels and not any(part in name for part in CHANGING)
    }


def page_of(bridge, session_id):
    """Return what the API reports of a session, but for what is of this moment or of this process."""
    details = json.loads(bridge.get(f"/api/v1/sessions/{session_id}"))
    attempts = [_lasting(attempt) for attempt in details.pop("attempts")]
    return {**_lasting(details), "attempts": attempts}


def _lasting(details):
    passing = {"connected", "state", "url", "api_url", "images_url", "notices", "updated_at"}
    return {name: value for name, value in details.items() if name not in passing}
