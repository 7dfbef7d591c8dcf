"""Two claims to one session: by the same training process, and by another one."""

import json
import signal

import pytest
from support.attempt_books import attempts_in, check_attempt
from support.bridges import running_bridge
from support.checks import Sent, check, check_log
from support.known_run import KnownRun
from support.raw_client import RawClient
from support.waiting import until_true

PICTURED = KnownRun("claimed", epoch_batches=10)
RUN = KnownRun("claimed", epoch_batches=10, images_every=0, reports_every=5)
SHORT_LEASE = ("--heartbeat-seconds", "0.3")
"""Three heartbeats are a lease."""

RESTARTS = (signal.SIGTERM, signal.SIGKILL)


def attempt_of(bridge):
    """Return which attempt of the session the bridge shows."""
    return json.loads(bridge.get(f"/api/v1/sessions/{RUN.session_id}"))["attempt"]


def trained(bridge, batches):
    """Have a first process train and vanish without a word; return it."""
    first = RawClient(bridge.grpc, RUN, instance_id="first")
    first.start()
    first.stream(*RUN.requests(1, batches))
    first.cut()
    return first


def test_the_newest_stream_of_a_process_wins(tmp_path):
    """The same instance connects again: its old stream is closed, the new one goes on, nothing counts twice."""
    with (
        running_bridge(tmp_path / "state", "--images-keep", "all") as bridge,
        RawClient(bridge.grpc, PICTURED) as old,
        RawClient(bridge.grpc, PICTURED) as new,
    ):
        old.start()
        old.stream(*PICTURED.requests(1, 25))
        new.say(*PICTURED.requests(1, 25))

        assert new.start().resume_sequence == old.acknowledged
        new.send_new()
        new.stream(*PICTURED.requests(26, 30))

        until_true(old.ended.is_set, what="the old stream is closed")
        assert attempt_of(bridge) == 1
        until_true(lambda: bridge.total("bridge_streams") == 1)
        connected = bridge.total("training_session_connected", session_id=RUN.session_id)
        assert connected == 1
        check(bridge, Sent.whole(PICTURED, 30), keeps_all=True)
        check_log(bridge)


def test_streams_that_race_count_once(tmp_path):
    """Six streams of one process, each with all of the same messages: the last one wins, each counts once."""
    with running_bridge(tmp_path / "state", "--images-keep", "all") as bridge:
        clients = [RawClient(bridge.grpc, PICTURED, frames=bool(n % 2)) for n in range(6)]
        for client in clients:
            client.say(*PICTURED.requests(1, 400))
        for client in clients:
            client.start()
            client.send_new()
        clients[-1].settle()
        for client in clients[:-1]:
            until_true(client.ended.is_set, what="every old stream is closed")
        check(bridge, Sent.whole(PICTURED, 400), keeps_all=True)
        clients[-1].cut()


def test_another_process_is_refused_while_the_first_lives(tmp_path):
    """At once and with a reason; the first one's stream does not notice."""
    with running_bridge(tmp_path / "state") as bridge, RawClient(bridge.grpc, RUN) as first:
        first.start()
        first.stream(*RUN.requests(1, 15))
        with RawClient(bridge.grpc, RUN, instance_id="other") as second:
            refused = second.register()
        assert not refused.success
        assert "another training process" in refused.message

        first.stream(*RUN.requests(16, 30))

        assert not first.ended.is_set()
        assert not first.errors
        assert attempt_of(bridge) == 1
        check(bridge, Sent.whole(RUN, 30))


@pytest.mark.parametrize("number", RESTARTS)
def test_a_lease_outlives_a_restart(tmp_path, number):
    """A restart of the bridge gives no other process the chance to take a session from the first one."""
    state = tmp_path / "state"
    with running_bridge(state) as bridge:
        first = trained(bridge, 15)
        bridge.stop(number)
    with running_bridge(state) as bridge:
        with RawClient(bridge.grpc, RUN, instance_id="other") as second:
            assert not second.register().success
        first.address = bridge.grpc
        assert first.start().resume_sequence == first.acknowledged
        first.stream(*RUN.requests(16, 30))
        assert attempt_of(bridge) == 1
        check(bridge, Sent.whole(RUN, 30))
        first.cut()


@pytest.mark.parametrize("number", [None, *RESTARTS])
def test_after_the_lease_another_process_starts_anew(tmp_path, number):
    """A new attempt: its sequence and every count begin at zero, whether the bridge was restarted or not."""
    state = tmp_path / "state"
    with running_bridge(state, *SHORT_LEASE) as bridge:
        trained(bridge, 25)
        if number is None:
            begin_anew(bridge)
            return
        bridge.stop(number)
    with running_bridge(state, *SHORT_LEASE) as bridge:
        begin_anew(bridge)


def begin_anew(bridge):
    """Claim the session for another process as soon as that is allowed, and train."""
    with RawClient(bridge.grpc, RUN, instance_id="other") as second:
        until_true(lambda: second.register().success, what="the lease of the first process ends")
        assert second.start().resume_sequence == 0
        second.stream(*RUN.requests(1, 12))
        assert attempt_of(bridge) == 2
        check(bridge, Sent.whole(RUN, 12))
        check_log(bridge)


@pytest.mark.parametrize("number", RESTARTS)
def test_a_new_attempt_outlives_a_restart(tmp_path, number):
    """What replays after a restart is the last attempt, and nothing of the one before, which is kept as it was."""
    state = tmp_path / "state"
    with running_bridge(state, *SHORT_LEASE) as bridge:
        trained(bridge, 25)
        begin_anew(bridge)
        bridge.stop(number)
    with running_bridge(state, *SHORT_LEASE) as bridge:
        assert attempt_of(bridge) == 2
        check(bridge, Sent.whole(RUN, 12))
        bridge.stop()
    assert attempts_in(state, RUN.session_id) == [1, 2]
    check_attempt(state, Sent.whole(RUN, 25), 1)
    check_attempt(state, Sent.whole(RUN, 12), 2)
